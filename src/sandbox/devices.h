// The agent's terminal: a pty of the sandbox's own devpts, opened before the filesystem is attached to the root.
// The devices of /dev themselves are made by root_fs.
#pragma once

#include "base/fd.h"

namespace stockade::sandbox {

struct Pty {
  Fd master;
  Fd slave;
};
// By init before it forks the agent: a controlling terminal is inherited by fork alone. Nobody else has seen the
// filesystem yet. The slave belongs to who calls this.
Result<Pty> open_own_pty(int terminals);

// A devpts of its own, detached until the root is built.
Result<Fd> make_terminals();

}  // namespace stockade::sandbox
