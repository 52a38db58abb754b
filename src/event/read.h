// What the read verbs (`logs`, `audit`, `why`) show of a log: events by a filter, one line an event for people, the raw
// record for programs, and the story of one refusal. Reading checks each record's form, not the chain (verify.h does);
// it works on the log of a living run. Everything printed is escaped for a terminal.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "event/event.h"

namespace stockade::event {

struct Filter {
  std::optional<Wall> wall;
  std::optional<Decision> decision;
  std::string kind;          // empty: any
  std::string subject_part;  // empty: any
  uint64_t from_seq = 0;
  bool refusals_only = false;  // deny, and what ended or paused the run
  bool own_records = true;     // the log's own: start, checkpoint, end
  bool matches(const Event& event) const;
};

// Calls `show` with each event that matches and its record (JSON, without newline), until it returns false.
using ShowEvent = std::function<bool(const Event& event, std::string_view record)>;
Result<void> for_each_event(const std::string& run_directory, const Filter& filter, const ShowEvent& show);

enum class Colour { none, ansi };
// 12:34:56.123  network  deny  connect evil.example:443  no rule of network.allow names it (12, 3 times)
std::string event_line(const Event& event, Colour colour);

bool is_refusal(const Event& event);

struct Refusal {
  Event event;          // as first recorded
  uint64_t times = 1;   // with its folded equals, also those that only the table of folds knows yet
  bool others = false;  // some of them had another subject (the table of folds was full)
  std::string to_text(Colour colour) const;  // several lines: what, reason, rule, place, what would allow it
  std::string to_json() const;
  std::string times_text() const;  // "12 times"
};
// The refusal `seq`, or the last one. None: the run was refused nothing (with a seq: an error that says what it is).
Result<std::optional<Refusal>> find_refusal(const std::string& run_directory, std::optional<uint64_t> seq);

}  // namespace stockade::event
