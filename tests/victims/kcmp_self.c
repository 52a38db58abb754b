/* Compares kernel objects: an oracle for their addresses. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge(syscall(SYS_kcmp, getpid(), getpid(), 0, 0, 1));
}
