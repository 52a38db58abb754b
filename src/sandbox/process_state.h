// What a process inherits without asking: signals, umask, niceness, scheduling, personality, timers, limits, keyring,
// out-of-memory score. Each is set explicitly in the child, after its ids are set and before Landlock, capabilities and
// seccomp (hardening 47, 51, 18, 29, 59). Hard limits are never raised: what is asked beyond them is clamped, and said
// in the report, as is a niceness that can't be lowered. (A session of its own, the terminal, ids, descriptors and the
// environment are the engine's.) Allocates nothing on success.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>

#include "base/error.h"

namespace stockade::sandbox {

struct ProcessState {
  mode_t umask = 022;
  std::optional<uint64_t> open_files;  // absent: 16384, and the hard limit as it is
  std::optional<uint64_t> file_size;
  std::optional<uint64_t> processes;  // RLIMIT_NPROC: counts per user namespace and uid, never holds kuid 0
  std::optional<uint64_t> locked_memory;
  std::optional<uint64_t> data_size;  // RLIMIT_DATA (RLIMIT_AS breaks node and every sanitizer)
  bool first_out_of_memory = true;    // oom_score_adj 1000; needs /proc
  bool fresh_keyring = true;
};

struct ProcessStateReport {
  struct Clamp {
    int resource = 0;  // RLIMIT_*
    uint64_t wanted = 0;
    uint64_t got = 0;
  };
  std::array<Clamp, 8> clamps{};
  size_t clamp_count = 0;
  int niceness = 0;  // above 0: inherited, and lowering it needs CAP_SYS_NICE
  // False: no keyrings in this kernel, or this user's quota of keys is used up. Then the inherited session keyring
  // stays, and the seccomp filter alone keeps the agent from it.
  bool keyring_is_fresh = false;
};

Result<ProcessStateReport> reset_process_state(const ProcessState& state);

}  // namespace stockade::sandbox
