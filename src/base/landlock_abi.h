// Landlock's kernel interface up to ABI 7, as far as we use it: Debian 12's header stops at ABI 2. Raw system calls
// that allocate nothing, for use between fork and exec. What each ABI added: 2 REFER, 3 TRUNCATE, 4 TCP bind and
// connect, 5 ioctl on devices, 6 scopes (abstract unix sockets, signals), 7 log flags. Facts: Linux
// Documentation/userspace-api/landlock.rst, include/uapi/linux/landlock.h (6.15).
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace stockade::landlock {

struct RulesetAttribute {
  uint64_t handled_fs = 0;
  uint64_t handled_net = 0;
  uint64_t scoped = 0;
};
struct [[gnu::packed]] PathBeneath {
  uint64_t allowed = 0;
  int32_t parent = -1;
};
struct NetPort {
  uint64_t allowed = 0;
  uint64_t port = 0;  // host order
};
inline constexpr int kRulePathBeneath = 1;
inline constexpr int kRuleNetPort = 2;

inline constexpr uint64_t kExecute = 1 << 0;
inline constexpr uint64_t kWriteFile = 1 << 1;
inline constexpr uint64_t kReadFile = 1 << 2;
inline constexpr uint64_t kReadDir = 1 << 3;
inline constexpr uint64_t kRemoveDir = 1 << 4;
inline constexpr uint64_t kRemoveFile = 1 << 5;
inline constexpr uint64_t kMakeChar = 1 << 6;
inline constexpr uint64_t kMakeDir = 1 << 7;
inline constexpr uint64_t kMakeReg = 1 << 8;
inline constexpr uint64_t kMakeSock = 1 << 9;
inline constexpr uint64_t kMakeFifo = 1 << 10;
inline constexpr uint64_t kMakeBlock = 1 << 11;
inline constexpr uint64_t kMakeSym = 1 << 12;
inline constexpr uint64_t kRefer = 1 << 13;
inline constexpr uint64_t kTruncate = 1 << 14;
inline constexpr uint64_t kIoctlDev = 1 << 15;
inline constexpr uint64_t kBindTcp = 1 << 0;
inline constexpr uint64_t kConnectTcp = 1 << 1;
inline constexpr uint64_t kScopeAbstractUnix = 1 << 0;
inline constexpr uint64_t kScopeSignal = 1 << 1;

// The filesystem rights that an ABI knows.
constexpr uint64_t all_fs_rights(int abi) {
  uint64_t rights = (uint64_t{1} << 13) - 1;
  if (abi >= 2) rights |= kRefer;
  if (abi >= 3) rights |= kTruncate;
  if (abi >= 5) rights |= kIoctlDev;
  return rights;
}
constexpr uint64_t all_net_rights(int abi) { return abi >= 4 ? kBindTcp | kConnectTcp : 0; }
constexpr uint64_t all_scopes(int abi) { return abi >= 6 ? kScopeAbstractUnix | kScopeSignal : 0; }

// The kernel's ABI, or -errno: ENOSYS (not built in) or EOPNOTSUPP (not enabled at boot).
inline int kernel_abi() {
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, 1u);
  return abi < 0 ? -errno : static_cast<int>(abi);
}

// A ruleset's descriptor, or -1 with errno. An old kernel gets the attribute only as long as it knows it.
inline int create_ruleset(const RulesetAttribute& attribute, int abi) {
  const size_t size = abi >= 6   ? sizeof(attribute)
                      : abi >= 4 ? offsetof(RulesetAttribute, scoped)
                                 : offsetof(RulesetAttribute, handled_net);
  return static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attribute, size, 0u));
}
inline int add_path(int ruleset, int parent, uint64_t allowed) {
  const PathBeneath rule{allowed, parent};
  return static_cast<int>(::syscall(SYS_landlock_add_rule, ruleset, kRulePathBeneath, &rule, 0u));
}
inline int add_port(int ruleset, uint16_t port, uint64_t allowed) {
  const NetPort rule{allowed, port};
  return static_cast<int>(::syscall(SYS_landlock_add_rule, ruleset, kRuleNetPort, &rule, 0u));
}
inline int restrict_self(int ruleset) { return static_cast<int>(::syscall(SYS_landlock_restrict_self, ruleset, 0u)); }

}  // namespace stockade::landlock
