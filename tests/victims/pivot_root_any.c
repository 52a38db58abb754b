/* Changes the root. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge_refused(syscall(SYS_pivot_root, "/nonexistent", "/nonexistent"));
}
