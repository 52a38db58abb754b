/* A user namespace: the door to most of the kernel's privileged code (CVE-2022-0185). */
#define _GNU_SOURCE
#include "victim.h"

#include <sched.h>

int main(void) {
  return judge(unshare(CLONE_NEWUSER));
}
