// `stockade probe`: attacks a real sandbox from inside, by the same path as `run`, and says of each attack whether it
// held. Everything happens in a network namespace of the probe's own (probe_world.h), which the calling process enters
// for good; the person's files are never an attack's target: those lie in a fixture that is removed at the end.
//
// `without` takes walls away: tools sandbox network data monitor, or of the sandbox alone seccomp landlock capabilities
// mounts process limits. It exists so that the attacks can be seen to succeed.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "supervisor/probe_attacks.h"

namespace stockade::supervisor {

struct ProbeRequest {
  std::string policy_file;  // empty: the default policy
  std::vector<std::string> without;
};

struct ProbeRow {
  std::string_view name;
  std::string_view what;
  ProbeWall wall = ProbeWall::sandbox;
  bool held = false;
  std::string evidence;
  bool applicable = true;  // else `evidence` is the reason
};

struct ProbeReport {
  std::string policy;
  std::vector<ProbeRow> rows;
  std::vector<std::string> notes;
  size_t broken() const;
};

Result<ProbeReport> run_probe(const ProbeRequest& request);

}  // namespace stockade::supervisor
