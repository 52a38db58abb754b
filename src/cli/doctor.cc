// doctor: what this machine can hold, tried for real. Exit status 1 when something that a run needs is missing.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/arguments.h"
#include "cli/output.h"
#include "supervisor/doctor_checks.h"

namespace stockade::cli {

using supervisor::DoctorFinding;
using supervisor::DoctorVerdict;

namespace {

void print_json(const std::vector<DoctorFinding>& findings) {
  auto json = nlohmann::ordered_json::array();
  for (const DoctorFinding& each : findings)
    json.push_back({{"feature", each.feature},
                    {"verdict", supervisor::to_string(each.verdict)},
                    {"found", each.found},
                    {"cost", each.cost},
                    {"remedy", each.remedy}});
  cli::print_json(json);
}

void print_findings(const std::vector<DoctorFinding>& findings) {
  std::vector<std::vector<std::string>> rows = {{"FEATURE", "VERDICT", "FOUND"}};
  for (const DoctorFinding& each : findings)
    rows.push_back({each.feature, std::string(supervisor::to_string(each.verdict)), each.found});
  print_table(rows);
  for (const DoctorFinding& each : findings) {
    if (each.verdict == DoctorVerdict::ok) continue;
    fmt::print("\n{}: {}\n  costs:  {}\n  remedy: {}\n", each.feature, supervisor::to_string(each.verdict), each.cost,
               each.remedy);
  }
}

}  // namespace

int doctor(const DoctorOptions& options) {
  const auto findings = supervisor::examine_machine();
  if (options.json)
    print_json(findings);
  else
    print_findings(findings);
  return std::any_of(findings.begin(), findings.end(),
                     [](const DoctorFinding& each) { return each.verdict == DoctorVerdict::missing; });
}

}  // namespace stockade::cli
