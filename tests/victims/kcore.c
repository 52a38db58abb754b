/* Reads the machine's memory. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge_read("/proc/kcore");
}
