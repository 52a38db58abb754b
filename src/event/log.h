// AuditLog: the one log of a run, `events.jsonl` in the run's state directory. The supervisor owns it; one thread.
//
// record() returns when the event is in the file, or is counted in the table of folds (a refusal that equals one
// before): only then may the decision take effect. Both survive a kill -9 of any process; a power failure may cost the
// last seconds, as nothing is fsynced. An error means that the event is not in the log: the caller ends the run with
// finish("error:log"), for which space was reserved at the start. No event is dropped: the counts of all records that
// are not the log's own sum up to the counts that record() was given.
// Heads are signed at checkpoints and at the end; a log without a signed end is closed by recover.h.
#pragma once

#include "event/chain_writer.h"
#include "event/folds.h"
#include "event/head.h"

namespace stockade::event {

class AuditLog {
 public:
  struct Options {
    std::string user_directory;  // $XDG_STATE_HOME/stockade: key and head of all runs; made if missing
    std::string run_directory;   // exists, private, without a log
    std::string run;             // the run's id: letters, digits, ".", "_", "-", at most 64
    const Clock* clock = nullptr;
    Evidence start_evidence;  // goes into the first record: name, policy's digest, runtime; at most 8 entries
    FoldTable::Shape folds;
    uint64_t checkpoint_events = 256;
    Duration checkpoint_interval = std::chrono::seconds(10);
    Duration fold_interval = std::chrono::seconds(5);
  };
  static Result<AuditLog> start(Options options);

  struct Recorded {
    uint64_t seq = 0;       // the record to name to the person: `stockade why RUN SEQ`
    bool repeated = false;  // equals a refusal that was recorded before
  };
  // Refusals (deny) fold; whatever else is written each time. `event.count` is 1, or what the caller folded itself.
  Result<Recorded> record(Event event);

  // Writes counts and checkpoints that are due. The caller's timer calls it at next_tick().
  Result<void> tick();
  std::optional<TimePoint> next_tick() const;

  Result<void> flush_folds();
  Result<void> checkpoint();
  // Checks that the key can sign, for a moment when nobody waits (the agent is starting): not only at the end.
  // Optional.
  Result<void> prepare_signing();

  // Writes the counts and the signed end, and hands the head on to the next run. `ended_by` is monitor's word.
  Result<void> finish(std::string_view ended_by, Evidence evidence = {});

  uint64_t recorded() const { return recorded_; }
  // For whoever forks: what a worker must not keep.
  int fd() const { return writer_.fd(); }

 private:
  AuditLog() = default;
  Result<void> write_start(const Head& head);
  Result<Recorded> record_refusal(Event& event);
  Result<void> append(Event& event);
  Result<void> write_folds(ChainWriter::Use use);
  Result<void> adjust_reserve(uint64_t folds);

  Options options_;
  Fd run_directory_;
  SigningKey key_;
  UserHead head_;
  ChainWriter writer_;
  FoldTable folds_;
  uint64_t recorded_ = 0;
  uint64_t unsigned_ = 0;  // records since the last signature
  bool folds_pending_ = false;
  bool finished_ = false;
  TimePoint unsigned_since_{};
  TimePoint pending_since_{};
  TimePoint last_forget_{};
};

inline constexpr const char* kLogName = "events.jsonl";
bool is_run_id(std::string_view text);

// Appends the signed closing record (`end`, `unclean_end`) under the user's lock, and makes it the user's head.
Result<void> write_closing_record(ChainWriter& writer, UserHead& head, const SigningKey& key, Event closing,
                                  WallTime now);

}  // namespace stockade::event
