/* Finds a device that isn't one of the six. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  const char* const doors[] = {"/dev/mem", "/dev/kmsg", "/dev/kvm", "/dev/fuse", "/dev/net/tun", "/dev/vda",
                               "/dev/sda", "/dev/nvme0n1", "/dev/loop-control", "/dev/userfaultfd", "/dev/vsock"};
  for (size_t i = 0; i < sizeof(doors) / sizeof(doors[0]); ++i)
    if (access(doors[i], F_OK) == 0) return broken(doors[i]);
  return held("ENOENT");
}
