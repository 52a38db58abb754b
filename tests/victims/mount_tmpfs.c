/* Mounts over what is there. */
#define _GNU_SOURCE
#include "victim.h"

#include <sys/mount.h>

int main(void) {
  return judge_refused(mount("none", "/nonexistent", "tmpfs", 0, 0));
}
