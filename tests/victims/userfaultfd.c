/* Stops the kernel in the middle of a copy: makes races certain (CVE-2018-18397). */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge(syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */));
}
