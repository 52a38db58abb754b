// The agent's `/`, built by init in its own mount namespace: a private tmpfs holds directories, links, small files and
// scratch; everything else is a detached mount that is given its attributes before anything can see it and is then
// attached to a directory that was opened without following a link. At the end the root is read-only and pivot_root(2)
// has made it `/`; the old tree, out of sight above it, goes with drop_old_root(), which must come before the agent's
// program. Mount points are made only in our own tmpfs, never in a tree of the host.
#pragma once

#include "base/fd.h"
#include "sandbox/launch.h"

namespace stockade::sandbox {

struct RootFs {
  Fd proc;   // the sandbox's /proc, to count and measure its processes from outside
  Fd usage;  // the private tmpfs, for fstatvfs(2)
  // An overlay could not be stacked, and a plain read-only bind took its place: connects to socket files in it must
  // be decided outside.
  bool notify_sockets = false;
  struct TrustFile {
    Fd file;  // open for what it is to end with
    const Mount* mount = nullptr;
  };
  std::vector<TrustFile> trust;  // of the plan's mounts of that kind
};

// `terminals`: the filesystem for /dev/pts (devices.h).
Result<RootFs> build_root(const Launch& launch, int terminals);
// In the process that built it, still in the working directory that this left.
Result<void> drop_old_root();

}  // namespace stockade::sandbox
