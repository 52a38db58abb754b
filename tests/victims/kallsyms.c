/* Reads where everything is in the kernel. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge_read("/proc/kallsyms");
}
