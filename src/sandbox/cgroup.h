// The run's cgroups: a cgroup2 leaf to kill and freeze everything at once (also on a hybrid host, where that tree has
// no controllers), and the limits on memory, CPU and pids by whichever of v1 and v2 the host has. All are named
// stockade-RUN_ID, so a later verb finds what an unclean end left. Single-threaded; every file is opened below a
// descriptor of our own directory. The tree's place is a parameter: tests give it a directory of plain files.
// Facts: Linux Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/{memory,cpu...}.rst.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/fd.h"
#include "sandbox/plan.h"

namespace stockade::sandbox {

// Where our own cgroups are, as directories; empty: not there.
struct CgroupPlaces {
  std::string v2;       // our own cgroup2 cgroup
  std::string v2_root;  // where that tree is mounted
  std::string v1_memory, v1_cpu, v1_pids, v1_freezer;
};
// `mount` is /sys/fs/cgroup, `own` the text of /proc/self/cgroup.
CgroupPlaces find_cgroups(const std::string& mount, std::string_view own);
CgroupPlaces find_own_cgroups();

// What holds each limit here (plan.h), for compile, explain and doctor.
LimitSupport probe_limit_support(const CgroupPlaces& places);
LimitSupport probe_limit_support();

struct ControlSupport {
  bool kills_at_once = false;    // cgroup.kill
  bool freezes_at_once = false;  // cgroup.freeze, or the v1 freezer
};
ControlSupport probe_control_support(const CgroupPlaces& places);

struct CgroupRequest {
  std::string run_id;
  std::optional<uint64_t> memory;  // bytes
  std::optional<uint64_t> cpus;    // thousandths
  std::optional<uint64_t> pids;
};

class RunCgroup {
 public:
  // Makes what the request needs and the host has. A limit that can't be held here is left out: has_memory() and its
  // like say which are held.
  static Result<RunCgroup> create(const CgroupRequest& request, const CgroupPlaces& places);
  RunCgroup() = default;
  RunCgroup(RunCgroup&&) noexcept = default;
  RunCgroup& operator=(RunCgroup&& other) noexcept;
  ~RunCgroup();

  int leaf() const { return v2_.directory.get(); }  // to be born in (CLONE_INTO_CGROUP), or -1
  bool has_memory() const { return v2_memory_ || memory_.directory; }
  bool has_cpus() const { return v2_cpus_ || cpu_.directory; }
  bool can_kill() const { return can_kill_; }
  bool can_freeze() const { return can_freeze_ || freezer_.directory; }

  // The v1 groups, to be entered by a process itself (enter_cgroup), which has no children yet: a single thread that
  // moves itself takes 0.08 ms; moving another process waits for a grace period of RCU, 12 ms on an idle machine.
  Result<std::vector<Fd>> entrances() const;
  // The kernel would not let a process be born in the leaf: without limits on it, kill and freeze otherwise.
  Result<void> do_without_leaf();
  Result<void> kill();
  // Returns when everything inside has stopped.
  Result<void> freeze();
  Result<void> thaw();
  std::optional<uint64_t> memory_used() const;
  uint64_t out_of_memory_kills() const;
  // With bounded retries: the last process may just be leaving.
  Result<void> remove();

 private:
  struct Group {
    std::string parent, name;
    Fd directory;
  };
  static Result<Group> make_group(const std::string& parent, const std::string& name);
  static Result<void> remove_group(Group& group);
  Result<void> make_v2(const CgroupRequest& request, const CgroupPlaces& places, const std::string& name);
  Result<void> make_v1(const CgroupRequest& request, const CgroupPlaces& places, const std::string& name);

  Group v2_;  // the leaf
  Group memory_, cpu_, freezer_;
  bool v2_memory_ = false, v2_cpus_ = false, v2_pids_ = false;
  bool can_kill_ = false, can_freeze_ = false;
};

// The calling thread moves itself into the group of an entrance.
Result<void> enter_cgroup(int entrance);

// Kills and removes what an unclean end of this run left; counts the groups.
Result<int> remove_leftover_cgroups(const std::string& run_id, const CgroupPlaces& places);
Result<int> remove_leftover_cgroups(const std::string& run_id);

}  // namespace stockade::sandbox
