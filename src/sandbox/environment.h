// The agent's environment, made anew: HOME, PATH, XDG, TMPDIR, locale and time zone from what it will see inside, then
// what the policy passes by name, then what it sets. Nothing else of the person's environment gets in. Proxy variables
// are a courtesy and come only with `env.proxy`; no wall depends on a variable.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "policy/policy.h"
#include "sandbox/etc_files.h"
#include "sandbox/survey.h"

namespace stockade::sandbox {

struct ViewVariables {
  std::vector<std::string> path;                                   // PATH
  std::vector<std::pair<std::string, std::string>> installations;  // InstallRoots::variables()
};

// "NAME=value", sorted by name. Refuses a variable of the loader passed by name without a reason, and a name that is
// none.
Result<std::vector<std::string>> make_environment(const policy::Environment& policy, const Surroundings& surroundings,
                                                  const Inside& inside, const ViewVariables& view, bool terminal);

}  // namespace stockade::sandbox
