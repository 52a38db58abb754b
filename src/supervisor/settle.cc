#include "supervisor/settle.h"

#include "event/recover.h"
#include "sandbox/cgroup.h"
#include "sandbox/scratch.h"

namespace stockade::supervisor {

namespace {

void settle(const Places& places, KnownRun run) {
  // Two verbs may find the same run: the lock decides who settles it.
  auto lock = lock_dead_run(run);
  if (!lock) return;
  if (!sandbox::remove_leftover_cgroups(run.record.id)) return;
  const SystemClock clock;
  event::RecoverOptions options{places.state, run.state_path, run.record.id, &clock};
  // One that died before it began its log never let its agent run.
  if (auto recovered = event::recover_log(options); !recovered && recovered.error().error_number() != ENOENT) return;
  if (!sandbox::remove_scratch(staging_path(run.state_path))) return;
  if (run.record.ended.empty()) {
    run.record.ended = format_time(clock.wall());
    run.record.ended_by = monitor::EndedBy{monitor::EndCause::error, "supervisor"};
    run.record.notes.push_back("the supervisor died; the run was settled by a later verb");
    if (!write_run_record(run.state_path, run.record, false)) return;
  }
  remove_runtime_directory(places, run.record.id);
}

}  // namespace

void settle_dead_runs(const Places& places) {
  for (KnownRun& run : find_dead_runs(places)) settle(places, std::move(run));
}

}  // namespace stockade::supervisor
