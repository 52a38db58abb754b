// The agent's Landlock domain: a second wall behind the mounts, and the one that scopes signals and abstract unix
// sockets. Rules are paths inside the sandbox, prepared before clone; restrict_with_landlock() opens them in the child
// after pivot_root and enters the domain. Nothing that isn't below a rule can be opened, executed, listed or changed.
// One of Linux's sixteen layers is used; the rest is the agent's own to take.
//
// Not covered by Landlock: stat, chdir, chmod, chown, xattrs, utime, connecting to socket files, code from memfd or
// through ld.so. TCP rights are left free: the agent may bind and connect inside its network namespace.
// Facts: Linux Documentation/userspace-api/landlock.rst.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "sandbox/plan.h"

namespace stockade::sandbox {

enum class LandlockAccess {
  list,  // the names in a directory
  read,  // and contents
  read_execute,
  write,  // all but execution: create, remove, rename (also between directories of one tree), truncate
  write_execute,
  process,  // /proc: read, and write to files that exist (comm, oom_score_adj)
  device,   // /dev: read, write, ioctl
};

struct LandlockRule {
  std::string path;  // absolute, inside
  LandlockAccess access = LandlockAccess::read;
  bool optional = false;  // absent: leave it out
  bool operator==(const LandlockRule&) const = default;
};

struct LandlockRules {
  std::vector<LandlockRule> paths;
  bool scope_signals = true;           // processes outside the domain can't be signalled (ABI 6)
  bool scope_abstract_sockets = true;  // and their abstract sockets not reached (ABI 6)
};

// Below ABI 2 (Linux 5.19) every rename between two directories is refused, which no agent survives. 3 (truncation,
// 6.2), 5 (device ioctls, 6.10) and 6 (scopes, 6.12) are used where they are: the mounts and namespaces hold without.
inline constexpr int kMinimumLandlockAbi = 2;

// What the plan's mounts come to: writable mounts may be written, executable ones executed, /proc, /dev and /dev/shm.
LandlockRules landlock_rules(const SandboxPlan& plan);

// Enters the domain; returns the ABI that holds. Needs no_new_privs. Allocates only to report an error.
Result<int> restrict_with_landlock(const LandlockRules& rules);

// The kernel's ABI, checked against the minimum (for doctor and explain).
Result<int> landlock_abi();

}  // namespace stockade::sandbox
