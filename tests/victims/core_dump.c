/* Can have its memory written down, or piped to a program of the host's. */
#define _GNU_SOURCE
#include "victim.h"

#include <sys/resource.h>

int main(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_CORE, &limit) != 0) return broken("can't read the limit");
  return limit.rlim_max == 0 ? held("RLIMIT_CORE 0") : broken("RLIMIT_CORE isn't 0");
}
