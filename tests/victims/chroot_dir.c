/* The first half of the classic chroot escape. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge(chroot("/"));
}
