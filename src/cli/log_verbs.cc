// logs, audit, audit verify, why: views of a run's log (event/read.h, event/verify.h). All of them work on the log of a
// living run, and settle runs that died before they look. What they print is escaped where it is made: event_line(),
// to_text(), display_text(); with --json the records are printed as they lie in the log.
#include <poll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <tuple>

#include "cli/arguments.h"
#include "cli/output.h"
#include "event/log.h"
#include "event/log_text.h"
#include "event/private_file.h"
#include "event/read.h"
#include "event/scan.h"
#include "event/verify.h"
#include "supervisor/run_directory.h"
#include "supervisor/settle.h"

namespace stockade::cli {

using event::Event;
using nlohmann::ordered_json;
using supervisor::KnownRun;

namespace {

// How long a follower waits at most before it looks whether the run's supervisor has died without a word.
constexpr int kLookAgainMs = 1000;
constexpr size_t kRefusalsShown = 20;

int failed(const Error& error) {
  print_error(error);
  return exit_status(error);
}

event::Colour colour() { return stdout_is_terminal() ? event::Colour::ansi : event::Colour::none; }

// Once more for a run whose supervisor died between the two.
Result<KnownRun> find_settled(const supervisor::Places& places, const std::string& name) {
  supervisor::settle_dead_runs(places);
  auto run = supervisor::find_run(places, name);
  if (!run || run->running || !run->record.ended.empty()) return run;
  supervisor::settle_dead_runs(places);
  return supervisor::find_run(places, name);
}

// ---- logs
// ------------------------------------------------------------------------------------------------------------

void print_event(const Event& event, std::string_view record, bool json) {
  if (json)
    fmt::print("{}\n", record);
  else if (event.kind != event::kind::kCheckpoint)  // the log's own bookkeeping
    fmt::print("{}\n", event::event_line(event, colour()));
}

bool is_closing(const Event& event) {
  return event.kind == event::kind::kEnd || event.kind == event::kind::kUncleanEnd;
}

// Reads a log that is being written, each record once and whole.
class LogReader {
 public:
  static Result<LogReader> open(const std::string& run_directory) {
    LogReader reader;
    STOCKADE_ASSIGN(reader.directory_, event::open_private_directory(run_directory, event::Missing::refuse));
    STOCKADE_ASSIGN(reader.file_, event::open_private_file(reader.directory_.get(), event::kLogName, O_RDONLY));
    reader.begin();
    return reader;
  }

  // Prints what is new; true when the log has its end.
  Result<bool> print_new(bool json) {
    while (true) {
      STOCKADE_ASSIGN(const auto line, scanner_->next());
      if (!line) return false;
      if (line->torn) {
        // Being written, or to be cut away by recovery: once more from the start, past what was printed.
        begin();
        return false;
      }
      auto event = event::decode_line(line->text);
      if (!event)
        return std::unexpected(std::move(event)
                                   .error()
                                   .context(fmt::format("line {} of the audit log", line->number))
                                   .hint("run 'stockade audit verify'"));
      if (event->seq <= printed_) continue;
      printed_ = event->seq;
      print_event(*event, line->text, json);
      if (is_closing(*event)) return true;
    }
  }

 private:
  void begin() { scanner_ = std::make_unique<event::LineScanner>(file_.get()); }

  Fd directory_;
  Fd file_;
  std::unique_ptr<event::LineScanner> scanner_;
  uint64_t printed_ = 0;
};

Result<Fd> watch_file(const std::string& path) {
  Fd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!watch) return fail_errno("watch the audit log");
  if (::inotify_add_watch(watch.get(), path.c_str(), IN_MODIFY | IN_DELETE_SELF) < 0)
    return fail_errno("watch {}", path);
  return watch;
}

// False when nothing changed for a while. Somebody who no longer reads us is noticed, and ends us, at the next print.
bool wait_for_change(int watch) {
  pollfd waiting{watch, POLLIN, 0};
  if (::poll(&waiting, 1, kLookAgainMs) <= 0) return false;
  char changes[4096];
  while (::read(watch, changes, sizeof(changes)) > 0) {
  }
  return true;
}

Result<void> follow(const supervisor::Places& places, const KnownRun& run, bool json) {
  STOCKADE_ASSIGN(auto watch, watch_file(run.state_path + "/" + event::kLogName));  // before the first look: no gap
  STOCKADE_ASSIGN(auto reader, LogReader::open(run.state_path));
  bool living = run.running;
  while (true) {
    STOCKADE_ASSIGN(const bool ended, reader.print_new(json));
    std::fflush(stdout);
    if (ended || !living) return {};
    if (wait_for_change(watch.get())) continue;
    // A run that died is settled here, which writes the end that is then printed.
    STOCKADE_ASSIGN(const auto now, find_settled(places, run.record.id));
    living = now.running;
  }
}

// ---- audit
// -----------------------------------------------------------------------------------------------------------

struct Refused {
  uint64_t seq = 0;  // of its first record
  uint64_t times = 0;
  std::string wall, kind, subject, decision, reason, rule, where;
};

// A run's decisions, summed up. Counts are those of the log: folded refusals join the record that they equal.
struct Summary {
  std::map<std::tuple<event::Wall, std::string, event::Decision>, uint64_t> counts;
  std::vector<Refused> refused;           // in the order of their first records
  std::map<uint64_t, size_t> refused_at;  // seq → index
  uint64_t events = 0;

  void add(const Event& event) {
    const bool folded = event.kind == event::kind::kFolded;
    if (event::is_reserved_kind(event.kind) && !folded) return;
    const std::string* folded_kind = folded ? event.find_evidence("kind") : nullptr;
    counts[{event.wall, folded_kind ? *folded_kind : event.kind, event.decision}] += event.count;
    events += event.count;
    if (!event::is_refusal(event)) return;
    const auto first = refused_at.find(event::folded_of(event).value_or(0));
    if (first != refused_at.end()) {
      refused[first->second].times += event.count;
      return;
    }
    refused_at[event.seq] = refused.size();
    refused.push_back({event.seq, event.count, std::string(to_string(event.wall)), event.kind, event.subject,
                       std::string(to_string(event.decision)), event.reason, event.rule, event.where});
  }
};

Result<Summary> sum_up(const std::string& run_directory) {
  Summary summary;
  STOCKADE_TRY(event::for_each_event(run_directory, {}, [&](const Event& event, std::string_view) {
    summary.add(event);
    return true;
  }));
  return summary;
}

void print_summary_json(const KnownRun& run, const Summary& summary, const event::Verification& verification) {
  ordered_json json{{"run", run.record.id}, {"running", run.running}, {"events", summary.events}};
  json["log"] = ordered_json::parse(verification.to_json(), nullptr, false);
  json["decisions"] = ordered_json::array();
  for (const auto& [key, count] : summary.counts) {
    const auto& [wall, kind, decision] = key;
    json["decisions"].push_back(
        {{"wall", to_string(wall)}, {"kind", kind}, {"decision", to_string(decision)}, {"count", count}});
  }
  json["refused"] = ordered_json::array();
  for (const Refused& one : summary.refused)
    json["refused"].push_back({{"event", one.seq},
                               {"times", one.times},
                               {"wall", one.wall},
                               {"kind", one.kind},
                               {"subject", one.subject},
                               {"decision", one.decision},
                               {"reason", one.reason},
                               {"rule", one.rule},
                               {"where", one.where}});
  print_json(json);
}

void print_summary(const KnownRun& run, const Summary& summary, const event::Verification& verification) {
  fmt::print("{}\n", verification.to_text());
  if (run.running) fmt::print("the run goes on; equal refusals of the last seconds are not counted yet\n");
  std::vector<std::vector<std::string>> rows{{"WALL", "WHAT", "DECISION", "COUNT"}};
  for (const auto& [key, count] : summary.counts) {
    const auto& [wall, kind, decision] = key;
    rows.push_back({std::string(to_string(wall)), kind, std::string(to_string(decision)), std::to_string(count)});
  }
  fmt::print("\n");
  print_table(rows);
  if (summary.refused.empty()) return;
  auto most = summary.refused;
  std::ranges::sort(most, [](const Refused& a, const Refused& b) {
    return std::tie(b.times, a.seq) < std::tie(a.times, b.seq);  // most often first, then oldest
  });
  rows = {{"EVENT", "TIMES", "REFUSED", "REASON"}};
  for (size_t i = 0; i < std::min(most.size(), kRefusalsShown); ++i)
    rows.push_back({std::to_string(most[i].seq), std::to_string(most[i].times), most[i].kind + " " + most[i].subject,
                    most[i].reason});
  fmt::print("\n");
  print_table(rows);
  if (most.size() > kRefusalsShown)
    fmt::print("and {} more: stockade audit {} --json\n", most.size() - kRefusalsShown, run.record.id);
}

// Every log, and that each run whose end a later one names is still there.
int verify_all(const supervisor::Places& places, bool json) {
  supervisor::settle_dead_runs(places);
  auto all = event::verify_runs(places.state);
  if (!all) return failed(all.error());
  bool intact = all->problems.empty();
  auto runs = ordered_json::array();
  for (const auto& one : all->runs) {
    intact &= one.intact();
    runs.push_back(ordered_json::parse(one.to_json(), nullptr, false));
    if (!json) fmt::print("{}\n", one.to_text());
  }
  if (json) print_json({{"intact", intact}, {"runs", runs}, {"problems", all->problems}});
  for (const std::string& problem : all->problems) say(problem);
  return intact ? 0 : 1;
}

}  // namespace

int logs(const LogsOptions& options) {
  const auto places = supervisor::find_places();
  auto run = find_settled(places, options.run);
  if (!run) return failed(run.error());
  if (options.follow) {
    auto followed = follow(places, *run, options.json);
    return followed ? 0 : failed(followed.error());
  }
  auto shown = event::for_each_event(run->state_path, {}, [&](const Event& event, std::string_view record) {
    print_event(event, record, options.json);
    return true;
  });
  return shown ? 0 : failed(shown.error());
}

int audit(const AuditOptions& options) {
  if (options.run.empty())
    return failed(
        Error(ErrorKind::invalid_input, "audit needs a run's id or name").hint("stockade ps --all lists them"));
  const auto places = supervisor::find_places();
  auto run = find_settled(places, options.run);
  if (!run) return failed(run.error());
  auto verification = event::verify_log(places.state, run->state_path);
  if (!verification) return failed(verification.error());
  // A log that was tampered with is summed up by nobody: its numbers would be the forger's.
  if (verification->integrity == event::Integrity::broken) {
    fmt::print("{}\n", options.json ? verification->to_json() : verification->to_text());
    return 1;
  }
  auto summary = sum_up(run->state_path);
  if (!summary) return failed(summary.error());
  if (options.json)
    print_summary_json(*run, *summary, *verification);
  else
    print_summary(*run, *summary, *verification);
  return verification->intact() ? 0 : 1;
}

int audit_verify(const AuditVerifyOptions& options) {
  const auto places = supervisor::find_places();
  if (options.run.empty()) return verify_all(places, options.json);
  auto run = find_settled(places, options.run);
  if (!run) return failed(run.error());
  auto verification = event::verify_log(places.state, run->state_path);
  if (!verification) return failed(verification.error());
  fmt::print("{}\n", options.json ? verification->to_json() : verification->to_text());
  return verification->intact() ? 0 : 1;
}

int why(const WhyOptions& options) {
  auto run = find_settled(supervisor::find_places(), options.run);
  if (!run) return failed(run.error());
  auto refusal = event::find_refusal(run->state_path, options.event);
  if (!refusal) return failed(refusal.error());
  if (!*refusal) {
    if (options.json) fmt::print("null\n");
    say(fmt::format("run {} was refused nothing", run->record.id));
    return 1;
  }
  if (options.json)
    fmt::print("{}\n", (*refusal)->to_json());
  else
    fmt::print("{}", (*refusal)->to_text(colour()));
  return 0;
}

}  // namespace stockade::cli
