// How a worker process of ours gives up what it doesn't need, before its first foreign byte: one call, in the worker,
// after it closed what isn't its own. In this order: a death signal, no dumps, resource limits, capabilities, Landlock
// (no file at all; TCP ports), and last the seccomp filter. Every step that fails is an error; the caller must end the
// process then. Nothing here can be undone, and all of it holds for every later thread and child.
//
// Not covered: what a process may do with descriptors that it already holds, beyond what its filter says. A worker that
// reads other processes' memory (the observer) can't have a Landlock domain: Landlock allows ptrace only downwards.
// Facts: prctl(2), capabilities(7), seccomp(2), landlock(7).
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace stockade {

struct Confinement {
  std::string_view name;                // process name and error texts, at most 15 bytes
  std::span<const sock_filter> filter;  // generated/filters/NAME.h; must not be empty
  pid_t parent = 0;                     // who must be the parent now (else it died already); 0: don't check
  bool die_with_parent = true;          // SIGKILL when the thread that forked us ends
  uint64_t data_limit = 0;              // bytes of private writable memory (RLIMIT_DATA); 0: as it is
  uint64_t open_files = 0;              // never above the hard limit that is there; 0: as it is
  uint64_t file_size = 0;               // largest file that it may write
  uint64_t keep_capabilities = 0;       // bit mask; 0: none
  bool landlock = true;                 // no file can be opened, made or removed any more
  bool threads = false;       // may start threads (RLIMIT_NPROC counts them); the filter still refuses processes
  bool scope_signals = true;  // and no process outside signalled, no abstract socket outside reached (ABI 6)
  // TCP ports that connect may reach (ABI 4), and none may be bound; absent: all that the filter lets through.
  std::optional<std::vector<uint16_t>> connect_ports;
};

Result<void> confine_worker(const Confinement& confinement);

// Who must end with an empty bounding set: whoever execs programs. A process without CAP_SETPCAP can't empty it; for a
// worker with no_new_privs, which never execs, it has no effect.
enum class BoundingSet { must_be_empty, if_possible };

// Drops the five capability sets but for `keep` (in permitted and effective), locks the securebits, and verifies.
Result<void> drop_capabilities(uint64_t keep, BoundingSet bounding);
Result<void> forbid_new_privileges();

// Loads a filter for the calling thread. 0 or a descriptor (SECCOMP_FILTER_FLAG_NEW_LISTENER); -errno on failure.
// Async-signal-safe. SECCOMP_FILTER_FLAG_SPEC_ALLOW is never set: mitigations stay on.
int load_seccomp_filter(std::span<const sock_filter> filter, unsigned int flags);

// Sets soft and hard to at most `value`; a hard limit below that stays (raising needs CAP_SYS_RESOURCE). Returns what
// holds now, or UINT64_MAX for unlimited.
Result<uint64_t> clamp_limit(int resource, uint64_t value);

}  // namespace stockade
