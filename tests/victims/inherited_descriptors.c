/* Holds a descriptor that somebody forgot. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  for (int descriptor = 3; descriptor < 4096; ++descriptor)
    if (fcntl(descriptor, F_GETFD) != -1) return broken("a descriptor above 2 is open");
  return held("none above 2");
}
