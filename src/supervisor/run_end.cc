// The end of a run: last records, publishing, the record; and of one that could not start.
#include "sandbox/host_tree.h"
#include "sandbox/launch.h"
#include "sandbox/scratch.h"
#include "sandbox/staging.h"
#include "supervisor/run_parts.h"

namespace stockade::supervisor {

namespace {

constexpr auto kDrainPatience = std::chrono::seconds(5);

}  // namespace

void Run::fill_counters(RunRecord& record) const {
  using monitor::Counter;
  for (const Counter counter :
       {Counter::connections, Counter::requests, Counter::names, Counter::bytes_out, Counter::denials})
    record.counters[std::string(monitor::to_string(counter))] = limits_.used(counter);
  record.counters["events"] = log_ ? log_->recorded() : 0;
}

void Run::drain_workers() {
  if (ended_by_->cause == EndCause::error) return;
  if (auto started = start_workers_late(); !started) record_.notes.push_back(started.error().render());
  if (!egress_) return;
  egress_->drain();
  const TimePoint deadline = clock_.now() + kDrainPatience;
  while (!drained_ && clock_.now() < deadline)
    if (!loop_->run_once(std::chrono::milliseconds(100))) break;
}

// They die while the end is written down.
void Run::dismiss_workers() {
  stopping_ = true;
  for (const NamedObserver& observer : observers_) observer.process.dismiss();
  if (egress_) egress_->dismiss();
}

void Run::publish_staging() {
  const auto& mounts = settings_.plan.mounts;
  for (size_t i = 0; i < mounts.size(); ++i) {
    if (mounts[i].kind != sandbox::MountKind::staging) continue;
    const std::string staging = sandbox::staging_directory(settings_.plan, i);
    auto published = sandbox::publish_staging(staging, mounts[i].source);
    if (!published) {
      record_.notes.push_back(published.error().render() + "; what was made is in " + staging);
      continue;
    }
    for (const auto& kept : published->kept)
      record_.notes.push_back(
          fmt::format("{}/{} was kept aside in {}: {}", mounts[i].source, kept.path, staging, kept.reason));
    if (published->kept_count == 0) (void)sandbox::remove_tree(staging);
    Event event = control_event("publish", Decision::allow, mounts[i].source, "write-only files came out at the end");
    event.wall = Wall::data;
    event.evidence = {{"published", std::to_string(published->file_count)},
                      {"kept_aside", std::to_string(published->kept_count)}};
    (void)log_->record(event);
  }
}

void Run::report_persistence() {
  if (watches_.empty()) return;
  auto tree = sandbox::HostTree::open();
  if (!tree) return;
  for (const auto& watch : watches_) {
    const auto report = watch.after(*tree);
    if (report.findings.empty()) continue;
    const std::string what = sandbox::to_text(report.findings);
    record_.notes.push_back(fmt::format("in {}, files that run or are obeyed later: {}", watch.root(), what));
    Event event = control_event("persistence", Decision::log, watch.root(), what);
    event.wall = Wall::data;
    (void)log_->record(event);
  }
}

// What lives in the loop goes before it.
void Run::take_down() {
  stopping_ = true;
  if (loop_) loop_->cancel_all();
  control_.reset();
  approvals_.reset();
  signals_ = {};
  observers_.clear();
  egress_.reset();
  loop_.reset();
}

RunOutcome Run::finish() {
  drain_workers();
  dismiss_workers();
  control_.reset();
  RunOutcome outcome;
  publish_staging();
  report_persistence();
  if (auto ended = log_->finish(ended_by_->to_string()); !ended)
    record_.notes.push_back("the log has no signed end: " + ended.error().message());
  outcome.id = directory_->id();
  outcome.ended_by = *ended_by_;
  outcome.sentence = sentence_;
  outcome.exit_status = monitor::exit_status(*ended_by_, agent_status_);
  outcome.denials = limits_.used(monitor::Counter::denials);
  outcome.notes = record_.notes;
  fill_counters(record_);
  record_.ended = format_time(clock_.wall());
  record_.ended_by = ended_by_;
  record_.exit_code = outcome.exit_status;
  if (auto written = directory_->write_record(record_, false); !written)
    outcome.notes.push_back(written.error().render());
  take_down();
  sandbox_.reset();
  directory_->finish();
  if (settings_.relay) (void)settings_.relay->ended(outcome.exit_status);
  return outcome;
}

// What could not be started leaves no trace but its log.
void Run::abandon(const Error& error) {
  sandbox_.reset();
  take_down();
  if (log_) (void)log_->finish("error:start");
  if (!directory_) return;
  record_.ended = format_time(clock_.wall());
  record_.ended_by = EndedBy{EndCause::error, "start"};
  record_.notes.push_back(error.render());
  (void)directory_->write_record(record_, false);
  directory_->finish();
}

}  // namespace stockade::supervisor
