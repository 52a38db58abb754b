// ps, show, pause, resume, kill: the verbs that find runs and speak to their supervisors.
#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "cli/arguments.h"
#include "cli/output.h"
#include "cli/running_run.h"
#include "supervisor/control_socket.h"
#include "supervisor/run_directory.h"
#include "supervisor/settle.h"

namespace stockade::cli {

using nlohmann::ordered_json;
using supervisor::KnownRun;

namespace {

constexpr auto kPatience = std::chrono::milliseconds(10'000);

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

// The live state of a running run ({"state": "running" | "paused", …}) or its record.
ordered_json describe(const KnownRun& run) {
  if (run.running)
    if (auto status = supervisor::control_request(run.socket_path, {"status"}, kPatience))
      return ordered_json::parse(*status, nullptr, false);
  return ordered_json::parse(to_json(run.record, run.running), nullptr, false);
}

std::string state_of(const KnownRun& run) {
  if (!run.running) return "ended";
  const ordered_json status = describe(run);
  std::string state = status.is_object() ? status.value("status", "running") : "running";
  const auto counters = status.is_object() ? status.value("counters", ordered_json::object()) : ordered_json::object();
  if (const uint64_t waiting = counters.value("waiting", uint64_t{0}); waiting > 0)
    state += fmt::format(", {} to approve", waiting);
  return state;
}

}  // namespace

Result<KnownRun> running_run(const std::string& name) {
  const auto places = supervisor::find_places();
  supervisor::settle_dead_runs(places);
  auto run = supervisor::find_run(places, name);
  if (run && !run->running) return fail(ErrorKind::unavailable, "run {} has ended already", run->record.id);
  return run;
}

namespace {

int control(const std::string& name, const std::string& method, const std::string& reason) {
  auto run = running_run(name);
  if (!run) {
    print_error(run.error());
    return 1;
  }
  if (auto answer = supervisor::control_request(run->socket_path, {method, reason}, kPatience); !answer) {
    print_error(answer.error());
    return 1;
  }
  return 0;
}

int kill_all(const std::string& reason) {
  const auto places = supervisor::find_places();
  supervisor::settle_dead_runs(places);
  auto runs = supervisor::list_runs(places, true);
  if (!runs) {
    print_error(runs.error());
    return 1;
  }
  int status = 0;
  for (const KnownRun& run : *runs) {
    if (!run.running) continue;
    auto answer = supervisor::control_request(run.socket_path, {"kill", reason}, kPatience);
    if (!answer) {
      print_error(Error(answer.error()).context(run.record.id));
      status = 1;
    }
  }
  return status;
}

}  // namespace

int ps(const PsOptions& options) {
  const auto places = supervisor::find_places();
  supervisor::settle_dead_runs(places);
  auto runs = supervisor::list_runs(places, !options.all);
  if (!runs) {
    print_error(runs.error());
    return 1;
  }
  if (!options.all) std::erase_if(*runs, [](const KnownRun& run) { return !run.running; });
  if (options.json) {
    auto json = ordered_json::array();
    for (const KnownRun& run : *runs) json.push_back(describe(run));
    print_json(json);
    return 0;
  }
  std::vector<std::vector<std::string>> rows{{"ID", "NAME", "STATE", "ENDED BY", "STARTED", "COMMAND"}};
  for (const KnownRun& run : *runs)
    rows.push_back({run.record.id, run.record.name, state_of(run),
                    run.record.ended_by ? run.record.ended_by->to_string() : "", run.record.started,
                    join(run.record.command)});
  print_table(rows);
  return 0;
}

int show(const ShowOptions& options) {
  const auto places = supervisor::find_places();
  supervisor::settle_dead_runs(places);
  auto run = supervisor::find_run(places, options.run);
  if (!run) {
    print_error(run.error());
    return 1;
  }
  if (options.json) {
    print_json(describe(*run));
    return 0;
  }
  const auto& record = run->record;
  std::vector<std::vector<std::string>> rows{{"id", record.id},           {"name", record.name},
                                             {"state", state_of(*run)},   {"command", join(record.command)},
                                             {"workdir", record.workdir}, {"policy", join(record.policy_sources)},
                                             {"started", record.started}};
  if (!record.ended.empty()) rows.push_back({"ended", record.ended});
  if (record.exit_code) rows.push_back({"exit status", std::to_string(*record.exit_code)});
  if (record.ended_by) rows.push_back({"ended by", record.ended_by->to_string()});
  for (const auto& [name, value] : record.counters) rows.push_back({name, std::to_string(value)});
  for (const std::string& note : record.notes) rows.push_back({"note", note});
  rows.push_back({"log", run->state_path + "/events.jsonl"});
  print_table(rows);
  return 0;
}

int pause(const PauseOptions& options) { return control(options.run, "pause", ""); }
int resume(const ResumeOptions& options) { return control(options.run, "resume", ""); }

int kill(const KillOptions& options) {
  if (options.all) return kill_all(options.reason);
  if (options.run.empty()) {
    print_error(Error(ErrorKind::invalid_input, "kill needs a run's id or name").hint("or: stockade kill --all"));
    return 2;
  }
  return control(options.run, "kill", options.reason);
}

}  // namespace stockade::cli
