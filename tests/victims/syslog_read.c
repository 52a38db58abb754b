/* Reads the kernel's log: addresses and the host's doings. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge(syscall(SYS_syslog, 10 /* size of the buffer */, 0, 0));
}
