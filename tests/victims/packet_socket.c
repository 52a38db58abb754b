/* Reads every packet of the interface. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge(socket(17 /* AF_PACKET */, SOCK_RAW, 0));
}
