// ApprovalDesk: where a run keeps what waits for a person, and tells who waits for it. Each question and each answer is
// in the log before it takes effect: `kind` approval, with who gave it (uid and pid of the control socket's peer), the
// deadline, or the run's end. Whatever can't be logged is denied. The words that a person reads are made here and
// escaped by whoever prints them.
//
// One thread, the supervisor's loop; destroyed before it. It does not know whether the person was talked into it.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "egress/egress_link.h"
#include "loop/loop.h"
#include "monitor/approvals.h"

namespace stockade::supervisor {

// What to type: "waiting for approval: connect to api.example:443: stockade approve ID 7".
std::string waiting_line(std::string_view run, const event::Event& asked);

class ApprovalDesk {
 public:
  struct Host {
    std::function<Result<uint64_t>(event::Event)> record;   // into the log; its number there
    std::function<void(const event::Event&)> announce;      // something new waits
  };
  ApprovalDesk(loop::Loop& loop, Duration patience, Host host);
  ~ApprovalDesk();
  ApprovalDesk(const ApprovalDesk&) = delete;

  // See egress::Authority::ask().
  Result<uint64_t> ask(event::Event asked, egress::AskScope scope, egress::OnAnswer then);

  // For the control socket: what waits, as JSON; and a person's word, which says again what it was about.
  std::string list() const;
  Result<std::string> decide(uint64_t event, bool granted, const std::string& who, const std::string& reason);
  size_t waiting() const { return approvals_.entries().size(); }

  // The run ends: all that waits is denied, and whatever still comes.
  void close();

 private:
  // `by` is for the log, `words` for the agent as well.
  bool settle(monitor::WaitingEntry entry, bool granted, std::string_view by, std::string words);
  loop::Task<void> keep_deadlines();

  loop::Loop& loop_;
  monitor::Approvals approvals_;
  Host host_;
  std::map<uint64_t, std::vector<egress::OnAnswer>> askers_;
  loop::Loop::TaskId deadlines_{};
  bool keeps_deadlines_ = false;
  bool closed_ = false;
};

}  // namespace stockade::supervisor
