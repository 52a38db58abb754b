/* The same by clone3, whose flags no filter can see. */
#define _GNU_SOURCE
#include "victim.h"

#include <linux/sched.h>

int main(void) {
  struct clone_args arguments = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
  const long child = syscall(SYS_clone3, &arguments, sizeof(arguments));
  if (child == 0) _exit(0);
  return judge(child);
}
