/* Joins a namespace by its descriptor; its own, to change nothing. */
#define _GNU_SOURCE
#include "victim.h"

#include <sched.h>

int main(void) {
  const int space = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
  return judge(setns(space, 0));
}
