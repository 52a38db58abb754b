// The surroundings that tests and fuzzers give a policy: Ada's, in her project, with nothing of this machine in them.
#pragma once

#include "policy/surroundings.h"

namespace stockade::policy {

inline Surroundings adas_surroundings() {
  Surroundings out;
  out.home = "/home/ada";
  out.cwd = "/home/ada/project";
  out.state_dir = "/home/ada/.local/state/stockade";
  out.config_dir = "/home/ada/.config/stockade";
  out.runtime_dir = "/run/user/1000/stockade";
  out.system_policy = "/nonexistent/policy.yaml";
  out.uid = 1000;
  out.memory = uint64_t{8} << 30;
  out.cpus = 4;
  return out;
}

}  // namespace stockade::policy
