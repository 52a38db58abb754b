/* A protocol that no listener of the firewall takes; loads a module. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge(socket(AF_INET, SOCK_STREAM, 132));
}
