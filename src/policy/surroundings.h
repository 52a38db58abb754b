// Surroundings: what a policy's meaning depends on besides its text. The caller collects it once; nothing in this
// folder reads the environment, the password database or the machine's size by itself.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace stockade::policy {

// All paths are absolute and normalised, without a trailing slash. Give resolved paths (no symbolic links) where
// possible: the checks here compare text.
struct Surroundings {
  std::string home;
  std::string cwd;
  std::string state_dir;    // $XDG_STATE_HOME/stockade
  std::string config_dir;   // $XDG_CONFIG_HOME/stockade
  std::string runtime_dir;  // $XDG_RUNTIME_DIR/stockade
  std::string system_policy = "/etc/stockade/policy.yaml";
  uid_t uid = 0;
  uint64_t memory = 0;  // bytes of the machine (or of our own cgroup)
  unsigned cpus = 0;

  std::string user_policy() const { return config_dir + "/policy.yaml"; }
  std::string trust_dir() const { return state_dir + "/trust"; }
  // Places that earlier runs could write (trust.h keeps the list): what lies there decides nothing without trust.
  std::vector<std::string> written_places;
};

}  // namespace stockade::policy
