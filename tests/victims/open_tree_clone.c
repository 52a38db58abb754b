/* Copies a mount without the masks on it. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge(syscall(SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */));
}
