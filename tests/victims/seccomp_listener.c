/* Becomes the one who decides system calls, its own first. */
#define _GNU_SOURCE
#include "victim.h"

#include <linux/filter.h>
#include <sys/prctl.h>

int main(void) {
  struct sock_filter answer = {6, 0, 0, 0x7fff0000};
  struct sock_fprog program = {1, &answer};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  return judge(syscall(SYS_seccomp, 1, 8 /* NEW_LISTENER */, &program));
}
