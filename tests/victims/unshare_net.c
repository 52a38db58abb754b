/* A network namespace without our firewall in it. */
#define _GNU_SOURCE
#include "victim.h"

#include <sched.h>

int main(void) {
  return judge(unshare(CLONE_NEWUSER | CLONE_NEWNET));
}
