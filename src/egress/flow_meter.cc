#include "egress/flow_meter.h"

#include <linux/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <vector>

namespace stockade::egress {

namespace {

constexpr Duration kUnlimitedInterval = std::chrono::seconds(1);
constexpr Duration kLimitedInterval = std::chrono::milliseconds(10);
constexpr Duration kPerFlow = std::chrono::microseconds(20);  // one look costs about one: at most a twentieth of a core
constexpr uint64_t kNoPacing = ~uint64_t{0};
constexpr uint64_t kLeastRate = 1024;

void disconnect(int socket) {
  // Purges what is queued and sends a reset; closing our duplicate alone would do neither.
  sockaddr address{};
  address.sa_family = AF_UNSPEC;
  (void)::connect(socket, &address, sizeof(address));
}

}  // namespace

void FlowMeter::add(uint64_t id, Fd duplicate, std::optional<Destination> sealable) {
  Flow& flow = flows_.emplace(id, Flow{.socket = std::move(duplicate), .sealable = nullptr}).first->second;
  if (sealable) flow.sealable = std::make_unique<Destination>(std::move(*sealable));
  if (!limit_out_) return;
  // Newcomers between two looks share another fifth of what is left: the sum of 1/k² is below 1.65.
  ++newcomers_;
  const double share = left() / (8.0 * seconds() * static_cast<double>(newcomers_) * static_cast<double>(newcomers_));
  pace(flow, std::max(kLeastRate, static_cast<uint64_t>(std::min(share, 1e18))));
}

Result<FlowMeter::HandedOver> FlowMeter::hand_over(uint64_t id) {
  const auto found = flows_.find(id);
  if (found == flows_.end()) return fail(ErrorKind::unavailable, "the connection is over");
  Flow& flow = found->second;
  if (!flow.sealable) return fail(ErrorKind::protocol, "a connection that does not go on inside TLS");
  STOCKADE_ASSIGN(Fd socket, flow.socket.duplicate());
  return HandedOver{std::move(socket), *std::exchange(flow.sealable, nullptr)};
}

double FlowMeter::left() const { return static_cast<double>(*limit_out_ - std::min(*limit_out_, total_out_)); }
double FlowMeter::seconds() const { return std::chrono::duration<double>(interval()).count(); }

bool FlowMeter::measure(uint64_t id, Flow& flow, bool ended) {
  tcp_info info{};
  socklen_t size = sizeof(info);
  if (::getsockopt(flow.socket.get(), IPPROTO_TCP, TCP_INFO, &info, &size) < 0) return false;
  const bool over = info.tcpi_state == 7;  // TCP_CLOSE
  // At the end what is still queued will be sent as well.
  const uint64_t queued = ended && !over ? info.tcpi_notsent_bytes : 0;
  const uint64_t sent = info.tcpi_bytes_sent - std::min(info.tcpi_bytes_sent, info.tcpi_bytes_retrans) + queued;
  Traffic traffic;
  traffic.flow = id;
  traffic.out = sent - std::min(flow.out, sent);
  traffic.in = info.tcpi_bytes_received - std::min<uint64_t>(flow.in, info.tcpi_bytes_received);
  traffic.ended = ended || over;
  flow.out += traffic.out;
  flow.in += traffic.in;
  total_out_ += traffic.out;
  if (traffic.out || traffic.in || traffic.ended) report_(traffic);
  return !over;
}

void FlowMeter::remove(uint64_t id, bool abort) {
  const auto found = flows_.find(id);
  if (found == flows_.end()) return;
  // Before the last look: an inspector that kept its descriptor sends nothing more through it.
  ::shutdown(found->second.socket.get(), SHUT_RDWR);
  measure(id, found->second, true);
  if (abort) disconnect(found->second.socket.get());
  flows_.erase(found);
}

void FlowMeter::cut(uint64_t id) { remove(id, true); }

void FlowMeter::cut_all() {
  std::vector<uint64_t> all;
  for (const auto& [id, flow] : flows_) all.push_back(id);
  for (const uint64_t id : all) cut(id);
}

uint64_t FlowMeter::fair_rate() const {
  const double rate = left() / (2.0 * seconds() * static_cast<double>(std::max<size_t>(1, flows_.size())));
  // Rates that no link reaches need no pacing.
  if (rate > 40e9) return kNoPacing;
  return std::max(kLeastRate, static_cast<uint64_t>(rate));
}

void FlowMeter::pace(Flow& flow, uint64_t rate) {
  // Lower at once; higher only when it matters, for each change is a system call.
  if (flow.rate != kNoPacing && rate >= flow.rate && rate - flow.rate < flow.rate / 4) return;
  if (rate == flow.rate) return;
  if (::setsockopt(flow.socket.get(), SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof(rate)) == 0) flow.rate = rate;
}

bool FlowMeter::look() {
  newcomers_ = 0;
  std::vector<uint64_t> over;
  for (auto& [id, flow] : flows_)
    if (!measure(id, flow, false)) over.push_back(id);
  for (const uint64_t id : over) flows_.erase(id);
  if (limit_reached()) {
    cut_all();
    return true;
  }
  if (limit_out_ && !flows_.empty()) {
    const uint64_t rate = fair_rate();
    for (auto& [id, flow] : flows_) pace(flow, rate);
  }
  return false;
}

Duration FlowMeter::interval() const {
  if (!limit_out_) return kUnlimitedInterval;
  return std::max(kLimitedInterval, kPerFlow * static_cast<int64_t>(flows_.size()));
}

}  // namespace stockade::egress
