/* Reaches the hypervisor and its host, in no network namespace. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge(socket(40 /* AF_VSOCK */, SOCK_STREAM, 0));
}
