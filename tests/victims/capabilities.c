/* Has a capability left, in any set. */
#define _GNU_SOURCE
#include "victim.h"

#include <linux/capability.h>
#include <sys/prctl.h>

int main(void) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {{0}};
  if (syscall(SYS_capget, &header, data) != 0) return broken("can't read them");
  for (int word = 0; word < 2; ++word)
    if (data[word].effective | data[word].permitted | data[word].inheritable) return broken("a set isn't empty");
  for (int capability = 0; capability < 64; ++capability) {
    if (prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 1) return broken("the bounding set isn't empty");
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, capability, 0, 0) == 1) return broken("the ambient set isn't empty");
  }
  return held("all five sets are empty");
}
