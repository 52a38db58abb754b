/* Asks the kernel to keep a program's data (CVE-2021-3490). */
#define _GNU_SOURCE
#include "victim.h"

#include <linux/bpf.h>

int main(void) {
  union bpf_attr attribute = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
  return judge(syscall(SYS_bpf, BPF_MAP_CREATE, &attribute, sizeof(attribute)));
}
