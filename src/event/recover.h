// Recovery: closes the log of a run whose supervisor died. Takes the writer's lock (so a living run is refused), cuts a
// torn last line, writes out what the table of folds still counts, and appends a signed `unclean_end` that says up to
// which record a signature had covered the log. A log whose chain is broken is left as it is, for `audit verify`.
// Dying at any instruction of this is harmless: the next recovery does the rest.
#pragma once

#include "base/clock.h"
#include "event/event.h"

namespace stockade::event {

struct Recovery {
  bool needed = false;  // false: the log had its end already
  uint64_t folded = 0;  // events written out of the table
  uint64_t torn_bytes = 0;
  uint64_t seq = 0;  // of the closing record
};

struct RecoverOptions {
  std::string user_directory;
  std::string run_directory;
  std::string run;  // for a log that died before its first record
  const Clock* clock = nullptr;
  std::string ended_by = "error:supervisor";  // monitor's word
};
Result<Recovery> recover_log(const RecoverOptions& options);

}  // namespace stockade::event
