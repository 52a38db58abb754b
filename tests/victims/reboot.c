/* Restarts the machine; with wrong magic numbers, so that being allowed shows as EINVAL. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge_refused(syscall(SYS_reboot, 0, 0, 0, 0));
}
