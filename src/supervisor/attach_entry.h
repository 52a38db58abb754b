// The process of ours that goes into a target's network namespace and takes it over (net/takeover.h); the supervisor
// stays where it is and gets descriptors. It is inside before anything is changed, so that the target can be looked at
// first; if it is let go then, nothing happened. It reads nothing that the target chose, and ends with its work.
#pragma once

#include <vector>

#include "base/pid.h"
#include "net/takeover.h"
#include "supervisor/attach_target.h"

namespace stockade::supervisor {

class AttachEntry {
 public:
  static Result<AttachEntry> start(const AttachTarget& target);

  int diag() const { return diag_.get(); }    // a NETLINK_SOCK_DIAG socket inside
  int links() const { return links_.get(); }  // an rtnetlink socket inside
  pid_t pid() const { return process_.get(); }
  Result<net::Takeover> take_over(const std::vector<net::LocalPort>& closed_ports);

 private:
  AttachEntry(Fd channel, Pid process, Fd diag, Fd links)
      : channel_(std::move(channel)), process_(std::move(process)), diag_(std::move(diag)), links_(std::move(links)) {}
  Fd channel_;
  Pid process_;
  Fd diag_;
  Fd links_;
};

}  // namespace stockade::supervisor
