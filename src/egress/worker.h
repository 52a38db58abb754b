// How inspector and dialer begin. They are forked from the supervisor and never exec'd: the first thing such a child
// does is to let go of everything that it inherited (descriptors, signals, terminal, the environment's text), because
// a lifeline's EOF comes only when the last copy is closed, and a secret that was in the environment must not be in
// the memory of a process that reads hostile bytes.
#pragma once

#include <functional>
#include <initializer_list>

#include "base/pid.h"
#include "policy/policy.h"

namespace stockade::egress {

enum class WorkerKind { inspector, dialer, sealer };

// Exit statuses of a worker, for the supervisor's sentence about its end.
inline constexpr int kFirstWorkerDescriptor = 3;  // of the worker program (worker_program.h)

inline constexpr int kWorkerDone = 0;         // its supervisor, or its peer, has gone
inline constexpr int kWorkerSetUpFailed = 2;  // could not start or confine itself
inline constexpr int kWorkerProtocol = 3;     // a peer sent something malformed

// Keeps only `keep` (and /dev/null as 0, 1 and 2), default signals with the terminal's ignored, no environment.
Result<void> become_worker(std::initializer_list<int> keep);

// The last step of set-up, before the first foreign byte. `parent` is the supervisor's pid; the dialer may connect to
// the TCP ports of `network` (and its resolver's) only, as far as Landlock can list them.
Result<void> confine_egress_worker(WorkerKind kind, pid_t parent, const policy::Network& network);

// As many descriptors as the hard limit allows; returns the soft limit.
size_t raise_descriptor_limit();

}  // namespace stockade::egress
