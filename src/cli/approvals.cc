// approvals, approve, deny: a person's word on what a run holds back. What is approved is shown in our words, escaped,
// with the run's own facts: an agent can print a line that looks like ours, but not change what the supervisor says.
// One event at a time, never "all". On a terminal a yes is asked for after that.
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/arguments.h"
#include "cli/output.h"
#include "cli/running_run.h"
#include "supervisor/control_socket.h"
#include "supervisor/settle.h"

namespace stockade::cli {

using nlohmann::ordered_json;
using supervisor::KnownRun;

namespace {

constexpr auto kPatience = std::chrono::milliseconds(10'000);

Result<ordered_json> waiting_in(const KnownRun& run) {
  STOCKADE_ASSIGN(const std::string answer, supervisor::control_request(run.socket_path, {"approvals"}, kPatience));
  ordered_json list = ordered_json::parse(answer, nullptr, false);
  if (!list.is_array()) return fail(ErrorKind::protocol, "the supervisor's list is no list");
  for (ordered_json& entry : list) entry["run"] = run.record.id;
  return list;
}

Result<ordered_json> waiting_anywhere() {
  const auto places = supervisor::find_places();
  supervisor::settle_dead_runs(places);
  STOCKADE_ASSIGN(const auto runs, supervisor::list_runs(places, true));
  auto all = ordered_json::array();
  for (const KnownRun& run : runs) {
    if (!run.running) continue;
    // A run may end while we ask.
    if (const auto list = waiting_in(run))
      for (const ordered_json& entry : *list) all.push_back(entry);
  }
  return all;
}

Result<ordered_json> waiting(const std::string& name) {
  if (name.empty()) return waiting_anywhere();
  STOCKADE_ASSIGN(const auto run, running_run(name));
  return waiting_in(run);
}

std::string text(const ordered_json& entry, const char* key) {
  const auto found = entry.find(key);
  if (found == entry.end()) return {};
  return found->is_string() ? found->get<std::string>() : found->dump();
}

void say_what(const ordered_json& entry) {
  say(fmt::format("event {} of run {}: {}", text(entry, "event"), text(entry, "run"), text(entry, "action")));
  say(fmt::format("it asks by {} ({})", text(entry, "rule"), text(entry, "where")));
  const auto evidence = entry.value("evidence", ordered_json::object());
  for (const char* key : {"excerpt", "host"})
    if (evidence.contains(key)) say(fmt::format("{}: {}", key, text(evidence, key)));
  if (entry.value("waiting", uint64_t{1}) > 1)
    say(fmt::format("{} equal connections wait for it", text(entry, "waiting")));
  if (text(entry, "kind") == "connect") say("an approval holds for equal connections of the next 60 s");
}

bool is_confirmed() {
  if (!::isatty(STDIN_FILENO) || !::isatty(STDERR_FILENO)) return true;
  fmt::print(stderr, "stockade: let it happen? [y/N] ");
  std::fflush(stderr);
  const int first = std::getchar();
  return first == 'y' || first == 'Y';
}

Result<void> tell(const std::string& name, const supervisor::ControlRequest& request, bool confirm) {
  STOCKADE_ASSIGN(const auto run, running_run(name));
  STOCKADE_ASSIGN(const auto list, waiting_in(run));
  for (const ordered_json& entry : list) {
    if (entry.value("event", uint64_t{0}) != *request.event) continue;
    say_what(entry);
    if (confirm && !is_confirmed()) return fail(ErrorKind::denied, "not approved; it goes on waiting");
    STOCKADE_TRY(supervisor::control_request(run.socket_path, request, kPatience));
    return {};
  }
  return std::unexpected(Error(ErrorKind::invalid_input, fmt::format("event {} does not wait for approval", *request.event))
                             .hint("stockade approvals lists what does"));
}

int decide(const std::string& name, const supervisor::ControlRequest& request) {
  const bool approves = request.method == "approve";
  if (auto told = tell(name, request, approves); !told) {
    print_error(told.error());
    return 1;
  }
  say(approves ? "approved" : "denied");
  return 0;
}

}  // namespace

int approvals(const ApprovalsOptions& options) {
  auto list = waiting(options.run);
  if (!list) {
    print_error(list.error());
    return 1;
  }
  if (options.json) {
    print_json(*list);
    return 0;
  }
  std::vector<std::vector<std::string>> rows{{"ID", "EVENT", "LEFT", "WAITING", "ACTION", "RULE"}};
  for (const ordered_json& entry : *list)
    rows.push_back({text(entry, "run"), text(entry, "event"), text(entry, "seconds_left") + " s",
                    text(entry, "waiting"), text(entry, "action"), text(entry, "rule")});
  print_table(rows);
  return 0;
}

int approve(const ApproveOptions& options) { return decide(options.run, {"approve", options.reason, options.event}); }
int deny(const DenyOptions& options) { return decide(options.run, {"deny", options.reason, options.event}); }

}  // namespace stockade::cli
