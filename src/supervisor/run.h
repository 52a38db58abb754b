// One run, from its directory to its record: puts the parts together and owns them. The supervisor is this code in one
// thread; it parses no byte that the agent chose beyond bounded records of our own workers.
//
// Order: directory and log → workers (inspector, dialer) → sandbox → listeners to the inspector → control socket →
// release → until the end: kill, last records, publishing, record. Every decision is in the log before it takes effect;
// what can't be logged ends the run. If any part of ours dies, the sandbox is killed.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "monitor/ended_by.h"
#include "policy/policy.h"
#include "sandbox/cgroup.h"
#include "sandbox/namespace_maker.h"
#include "sandbox/plan.h"
#include "sandbox/weakening.h"
#include "supervisor/run_directory.h"
#include "terminal/relay_link.h"

namespace stockade::supervisor {

struct RunSettings {
  policy::Policy policy;
  sandbox::SandboxPlan plan;
  sandbox::Weakening weakening;                       // the probe only
  std::optional<sandbox::NamespaceMaker> namespaces;  // started while the policy was read
  std::vector<std::string> writable_trees;            // watched for what would run later
  std::optional<sandbox::CgroupPlaces> cgroups;
  Places places;
  std::string name;
  std::vector<std::string> policy_sources;
  std::string effective_policy;  // as text, kept in the state directory
  std::string policy_digest;
  std::array<int, 3> stdio{0, 1, 2};
  std::array<bool, 3> pty{};  // which of them the agent's pty takes
  std::optional<terminal::RelayLink> relay;
  std::function<void(const std::string&)> announce;  // a line for the person, while the agent runs; may be empty
};

struct RunOutcome {
  std::string id;
  int exit_status = 0;
  monitor::EndedBy ended_by;
  std::string sentence;            // why, where it was not the agent's own end
  std::vector<std::string> notes;  // for the person, at the end
  uint64_t denials = 0;
};

// An error means that the agent was not started (exit status 125; 126 and 127 by its error_number()).
Result<RunOutcome> run_to_end(RunSettings settings, const Clock& clock);

}  // namespace stockade::supervisor
