/* Loads a network protocol by a socket pair. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge(socketpair(30 /* AF_TIPC */, SOCK_STREAM, 0, (int[2]){0}));
}
