// Which program made a connection: the socket's 4-tuple → its inode (sock_diag) → the processes of the sandbox that
// hold it → device and inode of their executables, compared with those that the policy names. A command of an npm
// package stands for what the package brings, since its script only starts a binary: executables below the package, and
// in packages beside it that bear its name (@openai/codex-linux-x64). A path of an executable counts only while it
// leads to that executable.
//
// A guard against accidents, not a boundary (`explain` says so): a descriptor can be passed on, an allowed interpreter
// can be told to run anything. What can't be found out is "no": a process that hides its descriptors is refused.
// Children inherit sockets, so one holder that the policy names is enough.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/ip_address.h"

namespace stockade::supervisor {

struct Executable {
  dev_t device = 0;
  ino_t inode = 0;
  bool operator==(const Executable&) const = default;
};

// What a name in the policy stands for.
struct NamedProgram {
  Executable file;
  Fd opened;  // without rights to read: tells where it really lies inside
};

// The package that a file in a node_modules directory belongs to; else empty.
std::string npm_package_of(std::string_view path);
// Is the file part of the package, or of one beside it that is made for a platform?
bool is_in_npm_package(std::string_view path, std::string_view package);

class ProgramLookup {
 public:
  // `socket_diag` lies in the sandbox's network namespace and outlives this object; `agent` is the agent as the host
  // sees it, alive now; `path` is its PATH, along which a bare program name is looked up inside. All processes below
  // the agent's parent, which is the sandbox's init, are looked at: the agent itself, and what lost its parent.
  ProgramLookup(int socket_diag, pid_t agent, std::string path);

  // Is a process that holds this connection one of `programs` (names or absolute paths inside)?
  Result<bool> is_made_by(const Endpoint& local, const Endpoint& remote, const std::vector<std::string>& programs);

  // The program that made the connection which is_made_by last refused, as a path inside that a policy could name.
  // Empty: it can't be told. Made printable: the agent may have chosen it.
  const std::string& asked() const { return asked_; }

 private:
  std::vector<NamedProgram> resolve(int root, const std::vector<std::string>& programs) const;
  // Is an executable part of the npm package that a named program belongs to?
  bool brings(int root, const NamedProgram& named, const Executable& executable, const std::string& path) const;

  int socket_diag_;
  pid_t agent_;
  pid_t init_;
  std::string path_;
  std::string asked_;
  pid_t last_ = 0;
};

}  // namespace stockade::supervisor
