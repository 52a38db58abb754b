/* Reads how the kernel was built. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge_read("/proc/config.gz");
}
