// One policy file to a value, with every error of the file at once. Pure: bytes and Surroundings in, values out; it
// follows no `extends` (layer.h does) and touches no file. Safe for hostile bytes: yaml_tree.h bounds what is parsed.
// When `errors` is not empty the policy is incomplete and must not be used.
#pragma once

#include <string_view>

#include "policy/diagnostic.h"
#include "policy/surroundings.h"

namespace stockade::policy {

struct Reference {
  std::string name;  // a preset or a file, as written
  Location where;
};

// Which keys the file has: a ceiling limits what it mentions, also where it mentions an empty list.
struct Presence {
  bool run = false;
  bool programs = false;
  bool runtime_user = false;
  bool env_pass = false;
  bool env_set = false;
  bool env_proxy = false;
  bool network_allow = false;
  bool resolver = false;
  bool trust = false;
  bool files = false;
};

struct LoadOutcome {
  Policy policy;
  Presence present;
  std::vector<Reference> extends;
  Diagnostics errors;
  Diagnostics warnings;
};

// `file` is what locations say: a path, or "preset:NAME".
LoadOutcome load_policy(std::string_view bytes, const std::string& file, const Surroundings& surroundings);

}  // namespace stockade::policy
