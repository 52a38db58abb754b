/* Rewrites where the kernel thinks its arguments and code are; here only asks for the size. */
#define _GNU_SOURCE
#include "victim.h"

#include <sys/prctl.h>

int main(void) {
  unsigned int size = 0;
  return judge(prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, &size, 0, 0));
}
