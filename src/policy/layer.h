// From files to the one policy that a run has. The order, from the top:
//
//   ceilings   /etc/stockade/policy.yaml and the person's own: they only take away, and nothing below can put it back
//   policy     --preset and --policy FILE; without a policy: a preset by the command's name, and `default`
//   workspace  .stockade.yaml in the current directory: narrows until `policy trust`; trusted it stands in for --policy
//   floor      our own directories are hidden wherever a mount reaches over them; broad places need a `reason`
//
// `extends` names presets or files (relative to the file that extends): lists are joined, single values overridden by
// the outer file. Reads files, writes nothing. With `errors` nothing may start.
#pragma once

#include "base/error.h"
#include "policy/load.h"

namespace stockade::policy {

struct Request {
  std::string policy_file;           // --policy; empty: none
  std::vector<std::string> presets;  // --preset
  // The command's resolved path; its name selects a preset where neither a policy nor a preset was given. What lies in
  // the workspace or where an earlier run could write selects none.
  std::string program;
};

enum class Role { preset, policy, workspace, ceiling };

struct Source {
  Role role = Role::policy;
  std::string name;    // "preset:codex", or the real path
  std::string sha256;  // of a file
};

struct Layered {
  Policy policy;
  std::vector<Source> sources;  // in the order in which they were read
  Diagnostics errors;
  Diagnostics warnings;  // what is broad
  Diagnostics notes;     // what a ceiling took away, what does not apply

  bool usable() const { return errors.empty(); }
};

Layered layer(const Request& request, const Surroundings& surroundings);

// The same for looking at one file (`policy check | explain | test | diff`): it is the policy, no workspace file takes
// part, and no trust is asked for, because nothing starts.
Layered inspect(const std::string& path, const Surroundings& surroundings);

// At a run's start: remembers which places this run can write, and the policy files among them as they are now.
Result<void> record_start(const Layered& layered, const Surroundings& surroundings);

}  // namespace stockade::policy
