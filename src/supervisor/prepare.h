// From what a person typed to what a run needs: the host surveyed, the policy layered and tested, the plan compiled.
// Reads only; starts nothing. Used by `run`, `probe` and `policy explain --plan`, so that all three mean the same.
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

// The settings of a run; record_start() has remembered what it may write.
Result<RunSettings> make_settings(Prepared prepared, const std::string& name);

}  // namespace stockade::supervisor
