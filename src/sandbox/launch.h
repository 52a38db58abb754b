// What a launch prepares before the clone, so that between clone and exec only system calls remain: every source of
// the plan opened without following a link and remembered by device and inode, the ids, the size of the private
// filesystem, argv and environment as the kernel wants them. Pinned descriptors stay open until the walls stand, so
// no inode number is reused meanwhile.
#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

#include "base/fd.h"
#include "sandbox/idmap.h"
#include "sandbox/namespaces.h"
#include "sandbox/plan.h"
#include "sandbox/weakening.h"

namespace stockade::sandbox {

// The host's side of one mount of the plan.
struct Source {
  bool present = false;
  std::string path;
  struct stat info{};
  Fd pin;
  int idmap = -1;
  std::vector<std::string> submounts;  // mount points below, relative (overlays only)

  bool is_directory() const { return S_ISDIR(info.st_mode); }
};

struct Launch {
  const SandboxPlan* plan = nullptr;
  Weakening weakening;  // the probe only
  Identity identity;
  uid_t outer_uid = 0;
  gid_t outer_gid = 0;
  std::vector<Source> sources;  // one for each mount of the plan
  IdMaps idmaps;
  bool scratch_on_disk = false;
  uint64_t tmpfs_bytes = 0;  // of the private tmpfs: what the agent may use, and more only while the root is built
  uint64_t tmpfs_inodes = 0;
  uint64_t own_bytes = 0;
  uint64_t own_inodes = 0;

  Fd sysctls;  // /proc/sys of the host; what it shows depends on who asks

  std::vector<std::string> programs;  // argv[0] as given, or every place of PATH where it may be
  std::vector<char*> argv;
  std::vector<char*> environment;
};

Result<Launch> prepare_launch(const SandboxPlan& plan, Mode mode);

// Where a mount of kind staging lives in the run's state.
std::string staging_directory(const SandboxPlan& plan, size_t mount_index);

}  // namespace stockade::sandbox
