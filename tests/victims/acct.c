/* Has the kernel write accounts of every process. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge_refused(syscall(SYS_acct, "/nonexistent"));
}
