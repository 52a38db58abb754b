// FlowMeter: the dialer's duplicates of what it handed out, and what went through them. Bytes come from TCP_INFO of the
// same socket that the inspector uses, so they hold whatever the inspector says: out is what has left (sent less sent
// again), in is what arrived.
//
// A limit on bytes out is held by the kernel's pacing between two looks: each flow may send at most its share of half
// of what is left until the next look, so the sum ends below the limit even when the inspector is hostile (who holds
// only the duplicate may not set the pacing rate: its seccomp filter). At the limit every flow is cut: disconnected,
// with what is queued thrown away. Sources: tcp(7), net/ipv4/tcp.c tcp_get_info(), tcp_disconnect(), SO_MAX_PACING_RATE
// in socket(7).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>

#include "base/clock.h"
#include "base/fd.h"
#include "egress/records.h"

namespace stockade::egress {

class FlowMeter {
 public:
  using Report = std::function<void(const Traffic&)>;

  FlowMeter(std::optional<uint64_t> limit_out, Report report) : limit_out_(limit_out), report_(std::move(report)) {}

  bool contains(uint64_t flow) const { return flows_.contains(flow); }
  size_t size() const { return flows_.size(); }
  bool limit_reached() const { return limit_out_ && total_out_ >= *limit_out_; }
  uint64_t total_out() const { return total_out_; }

  // `sealable`: where it leads, if it may go on inside TLS.
  void add(uint64_t flow, Fd duplicate, std::optional<Destination> sealable = {});
  // For the sealer, once: another duplicate, and where it leads. Of kind protocol: nobody may ask for that.
  struct HandedOver {
    Fd socket;
    Destination to;
  };
  Result<HandedOver> hand_over(uint64_t flow);
  // The last look, and the end of our duplicate. `abort` resets the connection.
  void remove(uint64_t flow, bool abort);
  void cut(uint64_t flow);
  void cut_all();

  // Looks at every flow; those that the kernel has closed are removed. True if the limit is reached (and all are cut).
  bool look();
  // How long until the next look.
  Duration interval() const;

 private:
  struct Flow {
    Fd socket;
    uint64_t out = 0;
    uint64_t in = 0;
    uint64_t rate = ~uint64_t{0};
    std::unique_ptr<Destination> sealable;
  };
  // False when the connection is over.
  bool measure(uint64_t id, Flow& flow, bool ended);
  void pace(Flow& flow, uint64_t rate);
  uint64_t fair_rate() const;
  double left() const;
  double seconds() const;

  std::optional<uint64_t> limit_out_;
  Report report_;
  uint64_t total_out_ = 0;
  unsigned newcomers_ = 0;
  std::unordered_map<uint64_t, Flow> flows_;
};

}  // namespace stockade::egress
