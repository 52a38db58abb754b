// Who the sandbox's processes are to the kernel, and the clone that starts its init.
//
// As root: init builds everything as root of the machine, then becomes a kernel uid of its own that nothing else has;
// the agent gets another one, in a user namespace that shows it as plan.uid. So the mount, network and pid namespaces
// stay owned by the machine's root, and no capability inside the agent's user namespace reaches them.
// As an ordinary user: one user namespace in which only the person's own uid is mapped; init stays out of the agent's
// reach by being pid 1 and not dumpable.
// Facts: user_namespaces(7), clone(2), capabilities(7).
#pragma once

#include <sys/types.h>

#include "base/pid.h"
#include "sandbox/plan.h"

namespace stockade::sandbox {

enum class Mode { root, user };

struct Identity {
  Mode mode = Mode::user;
  uid_t agent_kuid = 0;  // as the host sees the agent
  gid_t agent_kgid = 0;
  uid_t init_kuid = 0;
  gid_t init_kgid = 0;
  uid_t uid = 0;  // as the agent sees itself
  gid_t gid = 0;
};

// Root mode needs the whole identity uid map (a "root" inside somebody's user namespace is an ordinary user here).
Mode choose_mode();
Result<Identity> choose_identity(const SandboxPlan& plan, Mode mode);

struct InitClone {
  int user_namespace = -1;  // user mode: the one to be born in
  int cgroup = -1;          // a cgroup2 directory to be born in, or -1
};
// Clones the caller (single-threaded) into new mount, pid, IPC, UTS and cgroup namespaces. Absent value: we are the
// child.
Result<std::optional<Pid>> clone_init(const InitClone& options);

// In the user namespace of user mode, by init itself: its own uid and gid, and nothing else.
Result<void> map_own_ids(const Identity& identity, uid_t outer_uid, gid_t outer_gid);

// From outside, as root, for a process that has made a user namespace: plan ids → the agent's kernel ids.
Result<void> map_ids_of(pid_t pid, const Identity& identity);

}  // namespace stockade::sandbox
