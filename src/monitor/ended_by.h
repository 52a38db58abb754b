// Why a run ended, in the words of `show --json` (`ended_by`) and of the log's last record, and the exit status of
// `stockade run` that goes with it. The cause is kept, never inferred from the number.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/pid.h"

namespace stockade::monitor {

enum class EndCause {
  agent,   // left by itself, with its own status
  signal,  // a signal that Stockade did not send ended it
  limit,   // limit:NAME
  rule,    // rule:NAME
  kill,    // the kill switch: `stockade kill`, console, label
  error,   // error:PART: a part of ours failed, and the run with it
};

struct EndedBy {
  EndCause cause = EndCause::agent;
  std::string name;  // of the limit, the rule or the part; else empty

  std::string to_string() const;  // "agent", "limit:time"
  static std::optional<EndedBy> parse(std::string_view text);
  bool operator==(const EndedBy&) const = default;
};

// The agent's own; 128+N for signal N; 124 for the time limit; 137 for a limit, a rule, the kill switch or a failure
// of ours.
int exit_status(const EndedBy& ended_by, const ExitStatus& agent);

}  // namespace stockade::monitor
