// What a sandbox uses, measured from outside through its own /proc and its private tmpfs, for the limits that no cgroup
// holds here ("polled"). A snapshot: between two measurements more may be used, and `explain` says so.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"

namespace stockade::sandbox {

// Counts the processes in the sandbox's /proc, init included.
Result<uint32_t> count_processes(int proc);
// Private pages of every process, in bytes (statm: resident less shared).
Result<uint64_t> private_memory(int proc);
// CPU time of every process, in clock ticks of sysconf(_SC_CLK_TCK), their reaped children included.
Result<uint64_t> cpu_ticks(int proc);
// True when each process except init is stopped, a zombie, or gone.
Result<bool> all_stopped(int proc);
// Bytes used on the filesystem of `directory`.
Result<uint64_t> filesystem_used(int directory);

}  // namespace stockade::sandbox
