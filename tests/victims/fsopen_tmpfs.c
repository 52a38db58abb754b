/* The newer mount interface. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge(syscall(SYS_fsopen, "tmpfs", 0));
}
