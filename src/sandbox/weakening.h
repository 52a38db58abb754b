// Weakening: walls left out on purpose, one by one, so that `stockade probe --without WALL` can show that its attacks
// succeed where nothing holds them. No part of a plan and out of any policy's reach: only the probe sets it, in the
// options of a launch inside a network namespace of its own. `run` never does.
#pragma once

namespace stockade::sandbox {

struct Weakening {
  bool seccomp = false;
  bool landlock = false;
  bool capabilities = false;  // and no_new_privs, which would make up for them
  bool mounts = false;        // the masks and read-only views of /proc
  bool process = false;       // what is inherited: signals, limits of the process, personality, umask
  bool network = false;       // the agent stays in the network namespace of whoever launches
};

}  // namespace stockade::sandbox
