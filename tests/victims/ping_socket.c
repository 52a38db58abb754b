/* Speaks ICMP, past the firewall for TCP and UDP. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge(socket(AF_INET, SOCK_DGRAM, 1));
}
