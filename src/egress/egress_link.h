// EgressLink: the supervisor's end of wall 3. It forks the workers (the sealer where rules open TLS), hands the
// inspector its listeners, and turns what the workers say into events: each decision is recorded by the Authority
// before the worker may act on it. Of what the workers send only fixed, bounded records are read; the first malformed
// one, like the end of either worker, is worker_failed(), and the supervisor kills the sandbox. One thread, the
// supervisor's loop; destroyed before it.
//
//   auto link = EgressLink::start(policy, workers);   // forks; nothing else of the run needs to exist
//   link->attach(loop, authority);                    // then the sandbox starts, made of its listeners:
//   link->pass_listeners(std::move(listeners));
#pragma once

#include <signal.h>

#include <functional>
#include <memory>

#include "base/pid.h"
#include "egress/channel.h"
#include "egress/inspector.h"
#include "egress/sealer.h"
#include "event/event.h"
#include "net/transparent.h"
#include "policy/policy.h"

namespace stockade::egress {

// A connection that the dialer is about to make for the agent.
struct FlowRequest {
  uint64_t flow = 0;
  const policy::NetworkRule& rule;  // the rule that allows it
  std::string_view host;            // empty: by address
  IpAddress address{};
  uint16_t port = 0;
  Endpoint client;  // with `original`: the 4-tuple inside the sandbox, for `programs`
  Endpoint original;
  bool new_name = false;  // the resolver has not been asked for this name yet
};

struct AdmissionVerdict {
  bool allowed = true;
  std::string reason;  // when it is not
  std::string hint;
  event::Evidence evidence;  // joins the event ("program")
};

// What a person, or the supervisor for them, said about something that is held.
struct Answer {
  bool granted = false;
  std::string reason;     // who or what decided
  uint64_t approval = 0;  // the event of the approval
};
using OnAnswer = std::function<void(const Answer&)>;
// What an approval is for: this one request, or the destination, for equal connections of the next minute as well.
enum class AskScope { once, destination };

// What the supervisor decides and does for the link.
class Authority {
 public:
  virtual ~Authority() = default;
  // Writes the event, and returns its number. After an error the workers get no answer any more: the caller ends the
  // run.
  virtual Result<uint64_t> record(event::Event event) = 0;
  // The run has ended, perhaps by the event that was just recorded: nothing is let through any more, though refusals
  // that are on their way are still recorded.
  virtual bool ended() const { return false; }
  // Records the event, and holds what it is about until a person decides, nobody did in time, or the run ends. `then`
  // is called once, perhaps at once, never after the link is gone. The question's event; 0: an answer was there already.
  virtual Result<uint64_t> ask(event::Event event, AskScope scope, OnAnswer then) = 0;
  // Limits and `programs`. The link records the outcome itself.
  virtual AdmissionVerdict admit(const FlowRequest& request) = 0;
  // Bytes since the last call, for one flow.
  virtual void traffic(const Traffic& traffic) = 0;
  // A worker broke its protocol, or its channel ended: the run ends, and the sandbox is killed now. Called from a task
  // of the link: do not destroy the link in it.
  virtual void worker_failed(std::string_view worker, std::string reason) = 0;
  // The inspector has logged everything that the dead sandbox left behind (after drain()).
  virtual void drained() {}
  // The certificate of the run's authority, in PEM (start_interception()).
  virtual void authority_made(std::string /*certificate*/) {}
};

class EgressLink {
 public:
  // The bodies of the processes that read foreign bytes: the worker program's (worker_program.h), or, for tests, this
  // program's own functions or something hostile. Each returns the process's exit status.
  struct Workers {
    std::function<int(InspectorOptions)> inspector;
    std::function<int(SealerOptions)> sealer;  // where rules open TLS
  };
  // `policy` outlives the link.
  static Result<std::unique_ptr<EgressLink>> start(const policy::Policy& policy, const Workers& workers);
  ~EgressLink();

  Result<void> attach(loop::Loop& loop, Authority& authority);
  void pass_listeners(net::TransparentListeners listeners);
  // For `stockade proxy`: one listening socket, on which HTTP, CONNECT and SOCKS5 are told apart.
  void pass_proxy_listener(Fd listener);

  // After the last process of the sandbox is gone: everything it connected to before is logged, then drained().
  void drain();
  // To every worker: SIGSTOP holds all traffic, SIGCONT lets it go on.
  void signal(int number) const;
  // All die while the caller goes on to other things; the destructor waits for that.
  void dismiss() const { signal(SIGKILL); }
  // Cuts a flow, or all of them (0).
  void cut(uint64_t flow);

  // After a worker failed and the sandbox was killed: which of the two was first. When one ends the other does at once,
  // and may be heard of before. `reported` where they don't tell. Waits a moment for their exit statuses.
  std::string culprit(std::string_view reported);

  // Readable when the worker has ended: whoever waits for these kills the sandbox within a wake-up.
  int inspector_pidfd() const { return inspector_process_.pidfd(); }
  int dialer_pidfd() const { return dialer_process_.pidfd(); }
  int sealer_pidfd() const { return sealer_process_.pidfd(); }  // -1: nothing is intercepted
  std::vector<pid_t> pids() const;

 private:
  class InspectorSide;
  class DialerSide;
  friend class InspectorSide;
  friend class DialerSide;

  explicit EgressLink(const policy::Policy& policy);
  loop::Task<void> watch(bool inspector);
  Result<void> on_notice(const Notice& notice, uint64_t& last_seq, Channel& from, std::string_view worker);
  Result<void> on_admit(const Admit& admit);
  Result<void> ask_first(const Admit& admit, AdmissionVerdict verdict);
  Result<void> conclude(const Admit& admit, const AdmissionVerdict& verdict);
  event::Event to_event(const Notice& notice, std::string_view worker) const;
  event::Event admission_event(const Admit& admit, const AdmissionVerdict& verdict) const;

  const policy::Policy& policy_;
  Fd inspector_socket_;
  Fd dialer_socket_;
  Pid inspector_process_;
  Pid dialer_process_;
  Pid sealer_process_;
  Fd sealer_lifeline_;
  Authority* authority_ = nullptr;
  std::string accused_;  // who broke its protocol with us
  std::unique_ptr<Channel> inspector_;
  std::unique_ptr<Channel> dialer_;
  std::unique_ptr<InspectorSide> inspector_side_;
  std::unique_ptr<DialerSide> dialer_side_;
  loop::Loop* loop_ = nullptr;
  std::vector<loop::Loop::TaskId> tasks_;
};

}  // namespace stockade::egress
