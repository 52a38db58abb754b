// compile(): a policy and what this host is like become a SandboxPlan. A function of its arguments and of what the
// HostTree shows; it opens nothing for writing and starts nothing. Single thread. A plain run costs some 0.5 ms.
//
// Errors are the person's to mend (invalid_input, exit 125), or name a limit that nothing here can hold (unavailable).
// An error about the command carries error_number() ENOENT (exit 127) or EACCES (exit 126). Nothing is weakened
// silently: what a reader of the plan should know is in `notes`.
#pragma once

#include <string>
#include <vector>

#include "policy/policy.h"
#include "sandbox/host_tree.h"
#include "sandbox/plan.h"
#include "sandbox/survey.h"

namespace stockade::sandbox {

struct CompileOptions {
  std::vector<std::string> command;  // empty: the policy's
  bool terminal = false;
  LimitSupport support;
  std::string staging_root;
};

struct Compiled {
  SandboxPlan plan;
  std::vector<std::string> notes;           // one sentence each
  std::vector<std::string> writable_trees;  // real paths of the directories to watch (persistence_watch.h)
  bool default_workspace = false;           // the default preset made the current directory writable
};

Result<Compiled> compile(const policy::Policy& policy, const Surroundings& surroundings, const HostTree& tree,
                         const CompileOptions& options);

// What the agent sees and does not, a sentence each (for `policy explain`).
std::vector<std::string> describe_view(const SandboxPlan& plan);

}  // namespace stockade::sandbox
