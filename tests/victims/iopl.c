/* Speaks to hardware ports. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
#if defined(__x86_64__)
  return judge(syscall(SYS_iopl, 3));
#else
  return held("no ports");
#endif
}
