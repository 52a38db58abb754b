// LimitMonitor: the policy's counters as a state machine without a clock, a descriptor or a thread of its own. It is
// fed events and usage, and says once which limit was passed; what then happens is the supervisor's. A limit of N lets
// N pass: the next one ends the run. `time` ends it when it is reached. The kernel's own limits (memory, pids, disk)
// are the sandbox's and come here only to be named.
#pragma once

#include <array>
#include <optional>

#include "base/clock.h"
#include "event/event.h"
#include "monitor/ended_by.h"
#include "policy/policy.h"

namespace stockade::monitor {

enum class Counter { connections, requests, names, bytes_out, denials };
inline constexpr size_t kCounters = 5;
std::string_view to_string(Counter counter);

struct LimitVerdict {
  EndedBy ended_by;      // limit:requests
  std::string sentence;  // "the limit of 1000 requests was passed"
  uint64_t used = 0;
  uint64_t allowed = 0;
  std::string where;              // file:line:column of the policy's limits
  event::Event to_event() const;  // wall monitor, decision kill
};

class LimitMonitor {
 public:
  // `where` is the place of the policy's limits, for the event.
  LimitMonitor(const policy::Limits& limits, std::string where);

  // The clock of `time` starts with the agent. A freeze does not stop it.
  void start(TimePoint now) { started_ = now; }
  std::optional<TimePoint> deadline() const;

  // Each returns the first verdict, at the call that passed the limit, and nothing ever after.
  std::optional<LimitVerdict> add(Counter counter, uint64_t by = 1);
  // For what another process counts: its total so far. Totals never go back.
  std::optional<LimitVerdict> set_total(Counter counter, uint64_t total);
  // An event as the log took it: connects, requests and new names that were let through, and refusals that were
  // not equal to one before.
  std::optional<LimitVerdict> feed(const event::Event& event, bool repeated);
  std::optional<LimitVerdict> check_time(TimePoint now);

  uint64_t used(Counter counter) const { return used_[static_cast<size_t>(counter)]; }
  std::optional<uint64_t> allowed(Counter counter) const { return allowed_[static_cast<size_t>(counter)]; }
  const std::optional<LimitVerdict>& verdict() const { return verdict_; }
  // {"connections":{"used":3,"limit":10},…} for `show --json` and `top`.
  std::string to_json() const;

 private:
  std::optional<LimitVerdict> judge(Counter counter);

  std::array<uint64_t, kCounters> used_{};
  std::array<std::optional<uint64_t>, kCounters> allowed_;
  std::optional<std::chrono::milliseconds> time_;
  std::optional<TimePoint> started_;
  std::string where_;
  std::optional<LimitVerdict> verdict_;
};

}  // namespace stockade::monitor
