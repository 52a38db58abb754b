/* Advises on other processes' memory; here its own. */
#define _GNU_SOURCE
#include "victim.h"

#include <sys/uio.h>

int main(void) {
  static char page[8192] __attribute__((aligned(4096)));
  struct iovec range = {page, 4096};
  const int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
  return judge(syscall(SYS_process_madvise, self, &range, 1L, 20 /* MADV_COLD */, 0));
}
