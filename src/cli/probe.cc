// probe: attacks a sandbox from inside and prints what held. Exit status 1 when something did not.
#include <nlohmann/json.hpp>

#include "cli/arguments.h"
#include "cli/output.h"
#include "supervisor/probe_run.h"

namespace stockade::cli {

namespace {

const char* verdict_of(const supervisor::ProbeRow& row) {
  return !row.applicable ? "not applicable" : row.held ? "held" : "BROKEN";
}

void print_json(const supervisor::ProbeReport& report) {
  nlohmann::ordered_json json{{"policy", report.policy}, {"attacks", report.rows.size()}, {"broken", report.broken()}};
  json["rows"] = nlohmann::ordered_json::array();
  for (const auto& row : report.rows)
    json["rows"].push_back({{"attack", row.name},
                            {"wall", supervisor::to_string(row.wall)},
                            {"verdict", !row.applicable ? "not-applicable"
                                        : row.held      ? "held"
                                                        : "broken"},
                            {"evidence", row.evidence},
                            {"what", row.what}});
  cli::print_json(json);
}

void print_rows(const supervisor::ProbeReport& report) {
  std::vector<std::vector<std::string>> rows = {{"ATTACK", "WALL", "VERDICT", "WHAT", "EVIDENCE"}};
  for (const auto& row : report.rows)
    rows.push_back({std::string(row.name), std::string(supervisor::to_string(row.wall)), verdict_of(row),
                    std::string(row.what), row.evidence});
  print_table(rows);
}

}  // namespace

int probe(const ProbeOptions& options) {
  auto report = supervisor::run_probe({options.policy, options.without});
  if (!report) {
    print_error(report.error());
    return exit_status(report.error());
  }
  if (options.json)
    print_json(*report);
  else
    print_rows(*report);
  const size_t broken = report->broken();
  say(fmt::format("{} attacks on {}: {}", report->rows.size(), report->policy,
                  broken == 0 ? std::string("all held") : fmt::format("{} did not hold", broken)));
  return broken == 0 ? 0 : 1;
}

}  // namespace stockade::cli
