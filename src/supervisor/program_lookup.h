// Which program made a connection: the socket's 4-tuple → its inode (sock_diag) → the processes of the sandbox that
// hold it → device and inode of their executables, compared with those that the policy names. No path that the agent
// could exchange is read.
//
// A guard against accidents, not a boundary (`explain` says so): a descriptor can be passed on, an allowed interpreter
// can be told to run anything. What can't be found out is "no": a process that hides its descriptors is refused.
// Children inherit sockets, so one holder that the policy names is enough.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "base/ip_address.h"

namespace stockade::supervisor {

struct Executable {
  dev_t device = 0;
  ino_t inode = 0;
  bool operator==(const Executable&) const = default;
};

class ProgramLookup {
 public:
  // `socket_diag` lies in the sandbox's network namespace and outlives this object; `agent` is the agent as the host
  // sees it, alive now; `path` is its PATH, along which a bare program name is looked up inside. All processes below
  // the agent's parent, which is the sandbox's init, are looked at: the agent itself, and what lost its parent.
  ProgramLookup(int socket_diag, pid_t agent, std::string path);

  // Is a process that holds this connection one of `programs` (names or absolute paths inside)?
  Result<bool> is_made_by(const Endpoint& local, const Endpoint& remote, const std::vector<std::string>& programs);

 private:
  std::vector<Executable> resolve(const std::vector<std::string>& programs) const;

  int socket_diag_;
  pid_t agent_;
  pid_t init_;
  std::string path_;
  pid_t last_ = 0;
};

}  // namespace stockade::supervisor
