// What this machine can hold, tried for real: each check does the thing in a child of its own and reports the kernel's
// answer, never a version. Leaves nothing behind. To be called by a single-threaded process.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace stockade::supervisor {

enum class DoctorVerdict { ok, weaker, missing };  // weaker: works, with what `cost` says; missing: a run is refused

struct DoctorFinding {
  std::string feature;
  DoctorVerdict verdict = DoctorVerdict::ok;
  std::string found;  // what the kernel answered
  std::string cost;   // which wall is weaker, or what is refused
  std::string remedy;
};

std::vector<DoctorFinding> examine_machine();
std::string_view to_string(DoctorVerdict verdict);

}  // namespace stockade::supervisor
