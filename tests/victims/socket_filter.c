/* Loads a program into the kernel: classic BPF on a socket. */
#define _GNU_SOURCE
#include "victim.h"

#include <linux/filter.h>

int main(void) {
  struct sock_filter answer = {6, 0, 0, 0xffff};
  struct sock_fprog program = {1, &answer};
  const int socket_of_mine = socket(AF_INET, SOCK_DGRAM, 0);
  return judge(setsockopt(socket_of_mine, SOL_SOCKET, 26, &program, sizeof(program)));
}
