/* Watches every open of the host. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge(syscall(SYS_fanotify_init, 0, O_RDONLY));
}
