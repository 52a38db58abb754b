/* Moves a mount. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge_refused(syscall(SYS_move_mount, -1, "", -1, "", 0));
}
