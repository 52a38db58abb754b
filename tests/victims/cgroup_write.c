/* Changes its own limits, or names a release agent (CVE-2022-0492). */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  const char* const files[] = {"/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/memory/release_agent",
                               "/sys/fs/cgroup/unified/cgroup.procs", "/sys/fs/cgroup/memory/cgroup.procs"};
  for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); ++i)
    if (open(files[i], O_WRONLY | O_CLOEXEC) >= 0) return broken(files[i]);
  return held(error_name());
}
