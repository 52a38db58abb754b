/* A ring that does its system calls behind every seccomp filter. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  char parameters[256] = {0};
  return judge(syscall(SYS_io_uring_setup, 4, parameters));
}
