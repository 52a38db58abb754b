// programs.allow: the view of / in which an executable that is not listed isn't there. /usr/bin and its like hold the
// listed programs only; trees of libraries stay, without the executables in them that no listed program needs; data is
// noexec. (Refusing execve alone falls to `ld.so PROGRAM`, so absence is the wall.) A script's interpreter and the
// `env` of its first line come with it, a program's own package (git-core, a JDK, a node package) too.
//
// Limits which files are executed, not what an allowed interpreter computes. Files that look like libraries or scripts
// by their extension (.so .py .js …) stay: they run only through a loader or an interpreter that is listed.
#pragma once

#include <string>
#include <vector>

#include "sandbox/install_roots.h"
#include "sandbox/plan.h"

namespace stockade::sandbox {

// Entries of the library trees and installations that are looked at; more is an error.
inline constexpr size_t kProgramScanLimit = 600'000;

// The directories in which a listed program is looked up: a version manager's shims last. A shim runs whatever its
// manager chooses, which is a whole installation and not a program.
std::vector<std::string> search_order(const std::vector<std::string>& directories);

struct ProgramList {
  std::vector<std::string> allow;  // names, looked up along PATH, or absolute paths
  std::string command;             // the run's own program, real or spelled path; it and what it needs are allowed
};

// Adds the mounts for /usr, /bin, … and finds the listed programs' installations (`roots`). Notes what is missing and
// what came along.
Result<void> add_listed_programs(const HostTree& tree, const ProgramList& list, InstallRoots& roots,
                                 std::vector<Mount>& mounts, std::vector<std::string>& notes);

}  // namespace stockade::sandbox
