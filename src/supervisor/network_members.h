// Who lives in a network namespace, as /proc shows it: every process with a thread in it, and what its threads may do.
// A snapshot: processes come and go, but a child has no more than its parent. What our own /proc does not show
// (processes of a pid namespace above ours) is not found. Facts: proc(5), capabilities(7), user_namespaces(7).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "supervisor/attach_target.h"

namespace stockade::supervisor {

struct Credentials {
  uint64_t effective = 0;
  uint64_t permitted = 0;
  uint64_t inheritable = 0;
  uint64_t bounding = 0;
  uid_t effective_uid = 0;
  bool no_new_privileges = false;
};
constexpr uint64_t capability_bit(int number) { return uint64_t{1} << number; }

// Of "/proc/PID", or "/proc/PID/task/TID". Absent: it ended, or is not ours to look at.
std::optional<Credentials> credentials_of(const std::string& directory);

std::string process_name(pid_t pid);               // printable; "?" if it ended
std::optional<uint64_t> process_start(pid_t pid);  // clock ticks after boot

struct Member {
  pid_t pid = 0;
  std::vector<pid_t> threads;         // those inside
  std::vector<pid_t> threads_beside;  // of the same process, in another network namespace
};

// Without this process itself.
Result<std::vector<Member>> members_of(const NamespaceId& network);

// SIGKILL to every member until there is none; false when some are left after a bounded number of rounds.
bool kill_members(const NamespaceId& network);

}  // namespace stockade::supervisor
