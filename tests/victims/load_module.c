/* Loads a kernel module; nothing, so that being allowed shows as another error. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge_refused(syscall(SYS_finit_module, -1, "", 0));
}
