/* Takes a descriptor out of another process; here of itself, which everybody may. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  const int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
  return judge(syscall(SYS_pidfd_getfd, self, 1, 0));
}
