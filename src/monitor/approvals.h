// Approvals: what waits for a person's word, as a state machine without a clock, a descriptor or a thread of its own,
// like LimitMonitor. What is approved is one thing: no entry stands for others, with one exception that is said where
// it is asked: a connection is approved together with equal ones (same rule, name and port) that wait, or that come in
// the next kStands, since clients open several and try again. A request is approved alone.
//
// Bounded: kWaiting askers at once. Nobody's word within the patience is a denial.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "event/event.h"

namespace stockade::monitor {

inline constexpr size_t kWaiting = 64;

inline constexpr Duration kStands = std::chrono::seconds(60);

// What is asked, in our words: "connect to api.example:443", "send POST /v1/x to api.example:443: a secret in …".
// Names, methods and paths are the agent's: whoever prints it escapes it.
std::string action_words(const event::Event& asked);

enum class Standing { once, for_equals };

struct WaitingEntry {
  event::Event asked;  // as it lies in the log; its seq names the entry
  Standing standing = Standing::once;
  TimePoint deadline{};
  size_t askers = 1;
};

class Approvals {
 public:
  explicit Approvals(Duration patience) : patience_(patience) {}

  bool is_full() const { return askers_ >= kWaiting; }
  // The event of an approval that still stands for this.
  std::optional<uint64_t> standing_for(const event::Event& asked, TimePoint now) const;
  // The entry that this joins, as one more asker; null: it needs one of its own.
  const WaitingEntry* join(const event::Event& asked);
  void hold(event::Event asked, Standing standing, TimePoint now);

  // Out of the list, to be told.
  std::optional<WaitingEntry> take(uint64_t event);
  std::optional<WaitingEntry> take_due(TimePoint now);
  std::optional<WaitingEntry> take_any();
  // `entry` was approved by the event of this number.
  void stands(const WaitingEntry& entry, uint64_t approval, TimePoint now);

  const std::vector<WaitingEntry>& entries() const { return entries_; }  // oldest first
  std::optional<TimePoint> next_deadline() const;
  Duration patience() const { return patience_; }

 private:
  struct Stood {
    std::string rule, subject;
    uint64_t approval = 0;
    TimePoint until{};
  };
  WaitingEntry remove(size_t index);

  Duration patience_;
  size_t askers_ = 0;
  std::vector<WaitingEntry> entries_;
  std::vector<Stood> stood_;
};

}  // namespace stockade::monitor
