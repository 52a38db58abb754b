// From what a person typed to what a run needs: the host surveyed, the policy layered and tested, the plan compiled.
// Reads only; starts nothing. Used by every verb that starts something, and by `policy explain --plan`, so that all
// mean the same.
#pragma once

#include <string>
#include <vector>

#include "policy/layer.h"
#include "sandbox/cgroup.h"
#include "sandbox/compile.h"
#include "supervisor/run.h"

namespace stockade::supervisor {

struct PrepareRequest {
  std::string policy_file;
  std::string preset;
  std::vector<std::string> command;  // empty: the policy's
  bool terminal = false;
};

struct Prepared {
  policy::Layered layered;
  sandbox::Surroundings surroundings;
  policy::Surroundings policy_surroundings;
  sandbox::CgroupPlaces cgroups;
  sandbox::Compiled compiled;
};

// Errors render every diagnostic of the policy, or name the first of its own tests that failed.
Result<Prepared> prepare_run(const PrepareRequest& request);

// For what uses the firewall alone (`proxy`, `attach`): the whole order of layers, as for a run; ceilings, trust and
// the policy's own tests hold there too. Its errors are the caller's to say.
Result<policy::Layered> layer_firewall_policy(const std::string& file);

// The settings of a run; record_start() has remembered what it may write.
Result<RunSettings> make_settings(Prepared prepared, const std::string& name);

}  // namespace stockade::supervisor
