// Dialer: the only process that may connect, and the boundary of wall 3. In comes {rule, name or address, port} from an
// inspector that may have been taken over; out goes a connected descriptor, or a reason. Nothing that the inspector
// says is believed: the dialer judges the destination again with its own copy of the policy, has the supervisor log and
// admit it, resolves the name itself, checks every address of the answer, and connects to exactly an address that it
// checked. It keeps a duplicate of what it hands over, counts bytes from TCP_INFO, and can cut the flow.
//
// It parses fixed records (records.h) and DNS answers; never a byte that the agent chose but names that a rule allows.
// Flows, pending requests and names are bounded; past a bound the run's own connections are refused. One thread.
#pragma once

#include <memory>
#include <unordered_map>

#include "egress/channel.h"
#include "egress/destination.h"
#include "egress/flow_meter.h"
#include "egress/notice_sink.h"
#include "egress/resolver.h"
#include "policy/policy.h"

namespace stockade::egress {

inline constexpr size_t kPendingDials = 1024;
inline constexpr size_t kWildcardNames = 256;  // new names under wildcards in one run

struct DialerOptions {
  const policy::Network& network;
  const policy::Limits& limits;
  Fd supervisor;
  Fd inspector;
  Fd sealer;  // none: nothing is intercepted
  pid_t parent = 0;
};

// The body of the forked process; returns its exit status.
int run_dialer(DialerOptions options);

class Dialer {
 public:
  Dialer(loop::Loop& loop, const policy::Network& network, const policy::Limits& limits, HostView host,
         size_t max_flows);

  Result<void> open(Fd supervisor, Fd inspector, Fd sealer = {});
  // Serves until one of its channels ends.
  Result<void> run();

 private:
  struct Pending {
    explicit Pending(loop::Loop& loop) : answered(loop) {}
    loop::Signal answered;
    std::optional<Admission> admission;
    bool cancelled = false;
  };
  struct Outcome {
    DialResult result = DialResult::failed;
    std::string reason;
    Fd socket;
  };
  class InspectorSide;
  class SupervisorSide;
  class SealerSide;
  friend class InspectorSide;
  friend class SupervisorSide;

  Result<void> on_dial(Dial dial);
  Result<void> on_seal_flow(SealFlow asked);
  Result<void> on_closed(const Closed& closed);
  Result<void> on_admission(Admission admission);
  void on_cut(const Cut& cut);

  loop::Task<void> serve(Dial dial);
  loop::Task<Outcome> connect_to(Dial dial);
  loop::Task<Admission> ask_admission(Admit admit);
  loop::Task<Outcome> refuse(Destination to, std::string reason, std::string detail);
  loop::Task<Result<Fd>> connect_in_turn(std::vector<IpAddress> addresses, uint16_t port);
  loop::Task<void> meter_flows();
  loop::Task<void> watch(Channel& channel, RecordHandler& side);

  // The rule of our own policy that allows `to`; none: the inspector asks for what no rule allows.
  const policy::NetworkRule* judged_rule(const Destination& to) const;
  std::optional<std::string> wildcard_refusal(const policy::NetworkRule& rule, const std::string& host) const;

  loop::Loop& loop_;
  const policy::Network& network_;
  const policy::Limits& limits_;
  HostView host_;
  Resolver resolver_;
  size_t max_flows_;
  std::unique_ptr<Channel> supervisor_;
  std::unique_ptr<Channel> inspector_;
  std::unique_ptr<Channel> sealer_;
  std::unique_ptr<NoticeSink> notices_;
  std::unique_ptr<InspectorSide> inspector_side_;
  std::unique_ptr<SupervisorSide> supervisor_side_;
  std::unique_ptr<RecordHandler> sealer_side_;
  std::unordered_map<uint64_t, std::unique_ptr<Pending>> pending_;
  FlowMeter meter_;
  loop::Signal meter_wanted_;
  size_t wildcard_names_ = 0;
  bool meter_idle_ = false;
  Result<void> outcome_;
};

}  // namespace stockade::egress
