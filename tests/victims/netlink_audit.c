/* Speaks to the audit system. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge(socket(AF_NETLINK, SOCK_RAW, 9));
}
