// Install roots: which directories of the host must be visible, read-only, for a program found along PATH to work. A
// program in ~/.local/bin is often a link into ~/.local/share, a script of ~/.pyenv needs ~/.pyenv/versions, a Node
// package needs its neighbours. Known layouts come from a table, others are judged by evidence (a `lib` or pyvenv.cfg
// beside `bin`). Where neither speaks, only the directory on PATH itself is shown; a home, a parent of it, the
// workspace's secrets or a directory that anyone may write to never are.
//
// What a run could write (the policy's own mounts, where earlier runs wrote) chooses nothing: a planted link or `#!`
// line would show whatever directory it names. From there only known layouts and pure Python environments are followed.
//
// Real paths below the person's real home appear inside below the home as the person spells it.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "sandbox/plan.h"
#include "sandbox/survey.h"

namespace stockade::sandbox {

// The system's own trees, which the view of / shows anyway.
bool is_system_path(std::string_view real_path);

// The installation that the PATH entry `directory` (real path) belongs to: real paths to be mounted. Empty: nothing of
// it may be shown.
std::vector<std::string> roots_of_directory(const HostTree& tree, const Surroundings& surroundings,
                                            const std::string& directory);

// The installation of one executable (real path): what its links, its package and its `#!` line need. For a file in
// none of the known places this is the file alone if `anywhere` is set (it was reached by a link of an installation),
// else nothing.
std::vector<std::string> roots_of_program(const HostTree& tree, const Surroundings& surroundings,
                                          const std::string& program, bool anywhere);

// The interpreter that a script's first line names: an absolute path, and for `env NAME` the name.
struct Interpreter {
  std::string path;
  std::string searched;  // "node" of "#!/usr/bin/env node"
};
std::optional<Interpreter> interpreter_of(const HostTree& tree, const std::string& program);

// With a list of programs only the listed ones' installations are shown, so PATH is searched but brings none.
enum class PathRoots { all, none };

// Collects roots, drops those below others, and turns them into mounts.
class InstallRoots {
 public:
  // `theirs`: could a run have written what is at this real path? Where earlier runs wrote is known anyway.
  InstallRoots(const HostTree& tree, const Surroundings& surroundings,
               std::function<bool(const std::string&)> theirs = {});

  // Adds what PATH needs. `visible` tells which real paths the policy's own mounts show already.
  void add_path_entries(PathRoots show, const std::function<bool(const std::string&)>& visible);
  // Adds what this executable needs, and its `#!` line.
  void add_program(const std::string& path, bool anywhere);
  void add_interpreter(const std::string& real_path);
  // Adds the installation around a directory of programs (real path).
  void add_directory(const std::string& real_path);

  // Variables that name an installation (RUSTUP_HOME, JAVA_HOME, …), where what they name is shown: programs need them
  // to find themselves.
  std::vector<std::pair<std::string, std::string>> variables(
      const std::function<bool(const std::string&)>& visible) const;

  // PATH inside: the entries that are shown by now, in order, without repeats.
  std::vector<std::string> path_inside(const std::function<bool(const std::string&)>& visible) const;
  // PATH outside: the directories to search for a program, real paths.
  const std::vector<std::string>& search_path() const { return search_; }
  // Did somebody inside choose where this path leads, or could have?
  bool is_chosen_by_a_run(const std::string& path) const;
  // Is this real path inside one of the roots or the system's trees?
  bool covers(std::string_view real_path) const;
  // A real path as it is named inside.
  std::string inside(const std::string& real_path) const;

  // What of PATH is not shown, and why, one sentence each.
  const std::vector<std::string>& notes() const { return notes_; }
  const std::vector<std::string>& roots() const { return roots_; }
  std::vector<Mount> mounts() const;

 private:
  void add_root(std::string real_path);
  void add_links_of(const std::string& directory);
  void add_moved_toolchains();
  std::vector<std::string> known_roots(const std::string& real_path) const;

  const HostTree& tree_;
  const Surroundings& surroundings_;
  std::function<bool(const std::string&)> theirs_;
  std::vector<std::string> roots_;  // real paths, none below another
  std::vector<std::string> search_;
  std::vector<std::string> notes_;
};

}  // namespace stockade::sandbox
