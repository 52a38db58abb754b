/* TCP over several paths: not what the firewall reads. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge(socket(AF_INET, SOCK_STREAM, 262));
}
