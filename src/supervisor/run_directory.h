// Where runs keep themselves (docs/architecture.md, "Where things are"):
//
//   $XDG_STATE_HOME/stockade/spare/ state directories for later runs, without a record
//   $XDG_STATE_HOME/stockade/ID/   run.json, events.jsonl, policy.json, staging/ …   kept after the end
//   $XDG_RUNTIME_DIR/stockade/ID/  control.sock, lock                                gone after the end
//
// All of it is mode 0700 and owned by the person; a directory that is somebody else's, or a symbolic link, is refused.
// A run holds an flock on its lock file for its whole life: whoever gets that lock has found a run that died.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "monitor/ended_by.h"

namespace stockade::supervisor {

struct Places {
  std::string state;    // $XDG_STATE_HOME/stockade
  std::string runtime;  // $XDG_RUNTIME_DIR/stockade, else $XDG_STATE_HOME/stockade/runtime
};
Places find_places();

// Makes both where they are missing. What does not exist yet can't be hidden from a mount above it.
Result<void> make_places(const Places& places);

// run.json: written at the start, and anew at the end.
struct RunRecord {
  std::string id;
  std::string name;
  std::vector<std::string> command;
  std::string workdir;
  std::string runtime = "native";
  std::vector<std::string> policy_sources;
  int64_t supervisor_pid = 0;
  std::string started;  // RFC 3339, UTC
  std::string ended;    // empty while it runs
  std::optional<int> exit_code;
  std::optional<monitor::EndedBy> ended_by;
  std::map<std::string, uint64_t> counters;
  std::vector<std::string> notes;  // said at the end: files kept aside, files that would run later
};

std::string to_json(const RunRecord& record, bool running);
// Where a run in this state directory stages what it writes, and keeps scratch on disk.
std::string staging_path(const std::string& state_path);
Result<RunRecord> parse_run_record(const std::string& json);

class RunDirectory {
 public:
  // Makes both directories of a new run under a fresh id, and takes its lock. A `name` that a live run bears, or one
  // outside [a-z0-9][a-z0-9._-]{0,62}, is refused.
  static Result<RunDirectory> create(const Places& places, const std::string& name);

  const std::string& id() const { return id_; }
  const std::string& state_path() const { return state_path_; }
  std::string socket_path() const { return runtime_path_ + "/control.sock"; }
  Result<void> write_record(const RunRecord& record, bool running) const;
  // staging_path(), perhaps with emptied scratch directories of an earlier run in it (scratch.h).
  Result<void> make_staging() const;
  // Makes the state directory of a later run, unless enough are there: while the agent runs it costs nobody anything
  // (scratch.h says what it may cost otherwise). It takes over this run's scratch in the end.
  void make_spare() const;
  // Removes the runtime directory, and the run's staging if nothing is staged in it. The lock goes with the object.
  void finish();

 private:
  std::string spares_path() const;
  std::string own_spare() const;
  bool take_spare() const;

  std::string id_;
  std::string state_path_;
  std::string runtime_path_;
  Fd lock_;
};

struct KnownRun {
  RunRecord record;
  bool running = false;
  std::string state_path;
  std::string socket_path;
};

// All runs, oldest first; `running_only` looks at the runtime directory alone, so its cost does not grow with history.
Result<std::vector<KnownRun>> list_runs(const Places& places, bool running_only);
// By id or name; of several ended runs with one name, the latest. Not found: invalid_input with the nearest hint.
Result<KnownRun> find_run(const Places& places, const std::string& id_or_name);

// Runs whose supervisor died: their lock is free though their runtime directory stands. `settle` completes each one
// (log, cgroup, staging) and writes its record; see settle_dead_runs() in settle.h.
std::vector<KnownRun> find_dead_runs(const Places& places);
Result<Fd> lock_dead_run(const KnownRun& run);
Result<void> write_run_record(const std::string& state_path, const RunRecord& record, bool running);
void remove_runtime_directory(const Places& places, const std::string& id);

std::string format_time(WallTime time);  // RFC 3339 with milliseconds, UTC

}  // namespace stockade::supervisor
