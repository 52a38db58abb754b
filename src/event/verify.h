// Verification of a run's log by anybody who may read it: every record's form, the hash chain, the signatures, and
// whether the log is whole. It needs no trust in the writer, only in the public key of the user's directory.
// It can't see what a thief of the signing key rewrites; the heads that later runs carry (verify_runs) and heads that
// were anchored outside can.
#pragma once

#include <string>
#include <vector>

#include "event/event.h"

namespace stockade::event {

enum class Integrity {
  clean,      // up to a signed end
  recovered,  // the run was killed; the log was closed by recovery, signed
  open,       // valid so far; its writer lives
  unclean,    // valid, but without an end and without a writer: cut short, or killed and not yet recovered
  truncated,  // valid, but the user's head knows a later end
  other_key,  // valid, but signed by another key than the user's
  broken,     // a line is not what was written
};
std::string_view to_string(Integrity integrity);

struct Verification {
  Integrity integrity = Integrity::broken;
  std::string run;
  uint64_t records = 0;
  uint64_t events = 0;          // as recorded: folded ones with their counts
  uint64_t signed_through = 0;  // the last record that a signature covers
  uint64_t bad_line = 0;        // broken: the first one
  std::string problem;          // one sentence; empty for clean
  std::string ended_by;
  Digest head{};

  bool intact() const {
    return integrity == Integrity::clean || integrity == Integrity::recovered || integrity == Integrity::open;
  }
  std::string to_text() const;  // one line, safe to show
  std::string to_json() const;
};

// An error only where nothing can be read; whatever is wrong with the log is in the verdict.
Result<Verification> verify_log(const std::string& user_directory, const std::string& run_directory);

// Verifies every log below the user's directory, and that each end that a later run carries is still there.
struct RunsVerification {
  std::vector<Verification> runs;
  std::vector<std::string> problems;  // of the chain between runs; each a sentence
};
Result<RunsVerification> verify_runs(const std::string& user_directory);

}  // namespace stockade::event
