#include "monitor/limits.h"

#include <algorithm>
#include <limits>

namespace stockade::monitor {
namespace {

constexpr std::array<std::string_view, kCounters> kNames = {"connections", "requests", "names", "bytes_out", "denials"};
constexpr std::array<std::string_view, kCounters> kNouns = {"connections", "requests", "new names", "bytes sent out",
                                                            "different refusals"};

std::optional<Counter> counter_of(const event::Event& event) {
  using event::Decision;
  if (event.decision == Decision::deny) return Counter::denials;
  const bool passed =
      event.decision == Decision::allow || event.decision == Decision::log || event.decision == Decision::redact;
  if (!passed) return std::nullopt;
  if (event.kind == event::kind::kConnect) return Counter::connections;
  if (event.kind == event::kind::kRequest) return Counter::requests;
  if (event.kind == event::kind::kName) return Counter::names;
  return std::nullopt;
}

}  // namespace

std::string_view to_string(Counter counter) { return kNames[static_cast<size_t>(counter)]; }

event::Event LimitVerdict::to_event() const {
  event::Event event;
  event.wall = event::Wall::monitor;
  event.kind = "limit";
  event.subject = ended_by.name;
  event.decision = event::Decision::kill;
  event.rule = "limits." + ended_by.name;
  event.where = where;
  event.reason = sentence;
  event.hint = fmt::format("raise limits.{} in the policy", ended_by.name);
  event.evidence = {{"used", fmt::format("{}", used)}, {"limit", fmt::format("{}", allowed)}};
  return event;
}

LimitMonitor::LimitMonitor(const policy::Limits& limits, std::string where)
    : allowed_{limits.connections, limits.requests, limits.names, limits.bytes_out, limits.denials},
      time_(limits.time),
      where_(std::move(where)) {}

std::optional<TimePoint> LimitMonitor::deadline() const {
  if (!time_ || !started_) return std::nullopt;
  // A limit of centuries is none; adding it must not wrap into the past.
  constexpr auto kLongest = std::chrono::hours(24 * 365 * 100);
  return *started_ + (*time_ < kLongest ? Duration(*time_) : Duration(kLongest));
}

std::optional<LimitVerdict> LimitMonitor::judge(Counter counter) {
  const auto& limit = allowed(counter);
  if (verdict_ || !limit || used(counter) <= *limit) return std::nullopt;
  const auto index = static_cast<size_t>(counter);
  verdict_ = LimitVerdict{.ended_by = {EndCause::limit, std::string(kNames[index])},
                          .sentence = fmt::format("the limit of {} {} was passed", *limit, kNouns[index]),
                          .used = used(counter),
                          .allowed = *limit,
                          .where = where_};
  return verdict_;
}

std::optional<LimitVerdict> LimitMonitor::add(Counter counter, uint64_t by) {
  uint64_t& used = used_[static_cast<size_t>(counter)];
  used = by > std::numeric_limits<uint64_t>::max() - used ? std::numeric_limits<uint64_t>::max() : used + by;
  return judge(counter);
}

std::optional<LimitVerdict> LimitMonitor::set_total(Counter counter, uint64_t total) {
  uint64_t& used = used_[static_cast<size_t>(counter)];
  used = std::max(used, total);
  return judge(counter);
}

std::optional<LimitVerdict> LimitMonitor::feed(const event::Event& event, bool repeated) {
  const auto counter = counter_of(event);
  if (!counter || (*counter == Counter::denials && repeated)) return std::nullopt;
  return add(*counter);
}

std::optional<LimitVerdict> LimitMonitor::check_time(TimePoint now) {
  const auto end = deadline();
  if (verdict_ || !end || now < *end) return std::nullopt;
  const auto allowed = static_cast<uint64_t>(time_->count());
  verdict_ = LimitVerdict{
      .ended_by = {EndCause::limit, "time"},
      .sentence = fmt::format("the time limit of {} s was reached", static_cast<double>(allowed) / 1000),
      .used = static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now - *started_).count()),
      .allowed = allowed,
      .where = where_};
  return verdict_;
}

std::string LimitMonitor::to_json() const {
  std::string out = "{";
  for (size_t i = 0; i < kCounters; ++i) {
    out += fmt::format("{}\"{}\":{{\"used\":{}", i == 0 ? "" : ",", kNames[i], used_[i]);
    if (allowed_[i]) out += fmt::format(",\"limit\":{}", *allowed_[i]);
    out += '}';
  }
  if (time_) out += fmt::format(",\"time\":{{\"limit_ms\":{}}}", time_->count());
  return out + "}";
}

}  // namespace stockade::monitor
