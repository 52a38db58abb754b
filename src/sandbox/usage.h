// What a sandbox uses, measured from outside through its own /proc and its private tmpfs, for the limits that no cgroup
// holds here ("polled"). A snapshot: between two measurements more may be used, and `explain` says so.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"

namespace stockade::sandbox {

Result<void> for_each_process(int proc, const std::function<void(const char* pid)>& visit);
// Empty when it has ended meanwhile, or may not be looked into.
std::string read_of_process(int proc, const char* pid, const char* file);

// Counts the processes in the sandbox's /proc, init included.
Result<uint32_t> count_processes(int proc);
// Resident pages in bytes, by statm, where pages that forked processes share count for each of them.
struct ResidentMemory {
  uint64_t all = 0;
  uint64_t of_one = 0;  // less those of files and shared mappings
};
Result<ResidentMemory> resident_memory(int proc);
ResidentMemory resident_of(int proc, const char* pid);
// CPU time of every process, in clock ticks of sysconf(_SC_CLK_TCK), their reaped children included.
Result<uint64_t> cpu_ticks(int proc);
// True when each process except init is stopped, a zombie, or gone.
Result<bool> all_stopped(int proc);
// Bytes used on the filesystem of `directory`.
Result<uint64_t> filesystem_used(int directory);

}  // namespace stockade::sandbox
