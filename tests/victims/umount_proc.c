/* Takes a mask away. */
#define _GNU_SOURCE
#include "victim.h"

#include <sys/mount.h>

int main(void) {
  return judge_refused(umount2("/nonexistent", MNT_DETACH));
}
