/* Starts another kernel; with too many segments, so that being allowed shows as EINVAL. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge_refused(syscall(SYS_kexec_load, 0L, 99L, 0, 0L));
}
