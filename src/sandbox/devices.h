// The agent's terminal: a pty of the sandbox's own devpts, opened inside after the root is in place (hardening.md,
// row 7). The devices of /dev themselves are made by root_fs.
#pragma once

#include "base/fd.h"

namespace stockade::sandbox {

struct Pty {
  Fd master;
  Fd slave;
};
// By the agent's process before its exec, with the ids of the agent: the slave is then its own.
Result<Pty> open_own_pty();

}  // namespace stockade::sandbox
