// SandboxPlan: what a sandbox is to be, as a plain value that can be printed, compared and tested without a kernel. A
// policy and the host's view compile into it (compile.h); a backend turns it into a running sandbox or names the part
// that it cannot enforce, and then the run is refused. Paths are absolute; `source` paths are on the host, already
// resolved (no symbolic links left), `target` paths are inside.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "policy/policy.h"

namespace stockade::sandbox {

enum class MountKind {
  bind,          // a verified directory or file of the host, as it is; flags below
  overlay_read,  // a directory of the host under a read-only overlay, which also refuses host sockets
  staging,       // write-only: an empty directory of the run's state, published to `source` at the end
  trust,         // `content`, the head of a trust store, and then the run's own authority as `form` has it (trust.h)
  scratch,       // an empty private directory (HOME, /tmp, …) that shares the disk limit
  content,       // a small read-only file that we make; `content` holds it
  symlink,       // `content` is its target
  directory,     // an empty read-only directory of the root
};

enum class TrustForm { pem, jks, nss };

// A target's missing parents are made by the engine: mode 0755, read-only below the root, the agent's own below a
// scratch mount. Below a tree of the host nothing is ever made: the compiler has checked that the mount point exists
// there.

struct Mount {
  MountKind kind = MountKind::bind;
  std::string source;
  std::string target;
  std::string content;
  bool writable = false;
  bool exec = true;
  bool persons_tree = false;  // the person's own files: as root mounted idmapped, owner ↔ the agent's kuid
  bool optional = false;      // absent source, or (trust) mount point: leave it out (distributions differ)
  uint32_t mode = 0755;       // directory, scratch, content
  TrustForm form = TrustForm::pem;
  std::vector<std::string> hidden;     // paths below target, relative, that are masked: files or directories that exist
  std::vector<std::string> read_only;  // paths below target, relative, made read-only (.git/hooks, .envrc, …)
  std::vector<std::string> added;      // overlay_read: further names directly in it, files to be mounted upon
  std::vector<std::string> sockets;    // host sockets below, relative, that may be connected to
  bool operator==(const Mount&) const = default;
};

// Who holds a limit (design, section 5).
enum class Strength { hard, polled, refused };

// What this machine can hold, found by the engine's probe; the compiler writes it into each Limit.
struct LimitSupport {
  struct Support {
    Strength strength = Strength::polled;
    std::string by = "supervisor";
  };
  Support memory;
  Support cpus;
  Support pids{Strength::hard, "RLIMIT_NPROC of the user namespace"};
};

struct Limit {
  uint64_t value = 0;
  Strength strength = Strength::hard;
  std::string by;  // "cgroup v1 memory", "tmpfs size", "supervisor"
  bool operator==(const Limit&) const = default;
};

struct Limits {
  std::optional<Limit> memory;  // bytes
  std::optional<Limit> cpus;    // thousandths of a CPU
  std::optional<Limit> pids;
  std::optional<Limit> disk;  // bytes over all scratch and staging mounts
  std::optional<Limit> inodes;
  std::optional<Limit> open_files;
  std::optional<Limit> file_size;
  bool operator==(const Limits&) const = default;
};

struct SandboxPlan {
  std::vector<std::string> command;  // argv; argv[0] is looked up inside along the PATH of `environment`
  std::string workdir;
  std::vector<std::string> environment;  // "NAME=value", the whole of it
  std::string hostname = "stockade";
  uint32_t uid = 1000;  // inside
  uint32_t gid = 1000;
  uint32_t umask = 022;
  std::vector<Mount> mounts;  // in the order of mounting
  bool minimal_proc = false;
  bool network = false;         // the redirect to our listeners; false: only `lo`
  bool explicit_proxy = false;  // env.proxy: CONNECT and SOCKS5 listeners on loopback
  bool terminal = false;        // a pty of its own devpts on stdio
  bool program_list = false;    // programs.allow: memfd_create answers ENOSYS, writable mounts are noexec
  bool notify_sockets = false;  // a plain writable bind is mounted: connect and sendto with a path are decided outside
  Limits limits;
  policy::Strictness strictness = policy::Strictness::polled;
  std::chrono::milliseconds grace{5000};  // between SIGTERM and the kill at the time limit
  std::string staging_root;  // directory of the run's state for staging and disk-backed scratch (host path)
};

// The plan as text, one item a line (for `explain --plan`, tests and bug reports).
std::string to_text(const SandboxPlan& plan);

}  // namespace stockade::sandbox
