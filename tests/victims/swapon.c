/* Adds swap. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge_refused(syscall(SYS_swapon, "/nonexistent", 0));
}
