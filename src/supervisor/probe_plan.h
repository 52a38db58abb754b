// From a policy to the plan of one scene of the probe: the fixture joined, limits made small, walls taken away. Pure
// but for what compile() reads of the host.
#pragma once

#include <map>

#include "policy/layer.h"
#include "sandbox/compile.h"
#include "sandbox/weakening.h"
#include "supervisor/probe_attacks.h"
#include "supervisor/probe_world.h"

namespace stockade::supervisor {

// What is left out. The first four are taken out of the policy and the plan, the engine does the rest.
struct ProbeWeakening {
  bool tools = false;
  bool data = false;
  bool monitor = false;
  bool limits = false;
  sandbox::Weakening engine;
};
Result<ProbeWeakening> parse_weakening(const std::vector<std::string>& walls);

struct ProbePlan {
  policy::Policy policy;
  sandbox::SandboxPlan plan;
  std::map<std::string, std::string, std::less<>> places;  // what {work} and its like stand for
};

inline constexpr const char* kProbeDriver = "/probe/victims";

Result<ProbePlan> plan_scene(ProbeScene scene, const policy::Policy& policy, const sandbox::Surroundings& surroundings,
                             const ProbeFixture& fixture, const std::string& driver, const ProbeWeakening& without);

}  // namespace stockade::supervisor
