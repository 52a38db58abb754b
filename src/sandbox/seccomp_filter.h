// The agent's and init's seccomp filters: constants made at build time from filters/*.syscalls (the lists say what is
// allowed and why). Called in the child as its last step before execve, after no_new_privs. Loading allocates nothing
// on success. A filter holds for every later child and can't be taken off.
#pragma once

#include <linux/filter.h>

#include <span>

#include "base/error.h"

namespace stockade::sandbox {

struct FilterChoice {
  bool notify_sockets = false;  // SandboxPlan::notify_sockets: connect is decided outside (notify_filter.h)
  bool program_list = false;    // SandboxPlan::program_list: no memfd_create
};

std::span<const sock_filter> agent_filter(const FilterChoice& choice);
std::span<const sock_filter> init_filter();
// For the supervisor once the agent runs: refuses what it never does again (programs, the network, others' memory).
std::span<const sock_filter> supervisor_filter();

// Refuses a choice with notify_sockets: that one needs its listener.
Result<void> install_seccomp_filter(const FilterChoice& choice);
Result<void> install_seccomp_filter(std::span<const sock_filter> filter);

}  // namespace stockade::sandbox
