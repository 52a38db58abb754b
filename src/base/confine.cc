#include "base/confine.h"

#include <linux/capability.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>

#include "base/fd.h"
#include "base/landlock_abi.h"

namespace stockade {

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STOCKADE_SHADOW_MEMORY 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define STOCKADE_SHADOW_MEMORY 1
#endif
#endif
#ifdef STOCKADE_SHADOW_MEMORY
constexpr bool kShadowMemory = true;  // terabytes of it: RLIMIT_DATA can't be set in such a build
bool no_leak_check = false;
#else
constexpr bool kShadowMemory = false;
#endif

struct CapabilitySets {
  uint64_t effective = 0;
  uint64_t permitted = 0;
  uint64_t inheritable = 0;
};

Result<CapabilitySets> read_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  if (::syscall(SYS_capget, &header, data.data()) != 0) return fail_errno("read capabilities");
  auto join = [&](auto member) { return uint64_t{data[0].*member} | uint64_t{data[1].*member} << 32; };
  return CapabilitySets{join(&__user_cap_data_struct::effective), join(&__user_cap_data_struct::permitted),
                        join(&__user_cap_data_struct::inheritable)};
}

Result<void> write_capabilities(uint64_t keep) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const auto low = static_cast<uint32_t>(keep);
  const auto high = static_cast<uint32_t>(keep >> 32);
  const std::array<__user_cap_data_struct, 2> data{{{low, low, 0}, {high, high, 0}}};
  if (::syscall(SYS_capset, &header, data.data()) != 0) return fail_errno("drop capabilities");
  return {};
}

constexpr int kHighestConceivableCapability = 63;

Result<void> empty_bounding_set() {
  for (int capability = 0; capability <= kHighestConceivableCapability; ++capability) {
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) return {};  // past the kernel's last
    return fail_errno("drop capability {} from the bounding set", capability);
  }
  return {};
}

constexpr unsigned long kLockedSecurebits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                            SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                                            SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

// The ambient set is always within the inheritable one (capabilities(7)).
Result<void> verify_capabilities(uint64_t keep) {
  STOCKADE_ASSIGN(const CapabilitySets sets, read_capabilities());
  if (sets.permitted != keep || sets.effective != keep || sets.inheritable != 0)
    return fail(ErrorKind::internal, "capabilities are left: permitted {:#x}, effective {:#x}, inheritable {:#x}",
                sets.permitted, sets.effective, sets.inheritable);
  return {};
}

Result<void> set_death_signal(const Confinement& confinement) {
  if (confinement.die_with_parent && ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
    return fail_errno("ask for a signal at the parent's end");
  if (confinement.parent != 0 && ::getppid() != confinement.parent)
    return fail(ErrorKind::internal, "the parent ended while the process started");
  return {};
}

Result<void> set_limits(const Confinement& confinement) {
  STOCKADE_TRY(clamp_limit(RLIMIT_CORE, 0));
  STOCKADE_TRY(clamp_limit(RLIMIT_FSIZE, confinement.file_size));
  // With no children allowed. Root is exempt; the filter refuses clone anyway.
  if (!confinement.threads) STOCKADE_TRY(clamp_limit(RLIMIT_NPROC, 0));
  if (confinement.open_files != 0) STOCKADE_TRY(clamp_limit(RLIMIT_NOFILE, confinement.open_files));
  if (confinement.data_limit != 0 && !kShadowMemory) STOCKADE_TRY(clamp_limit(RLIMIT_DATA, confinement.data_limit));
  return {};
}

Result<void> deny_files(const Confinement& confinement) {
  const int abi = landlock::kernel_abi();
  if (abi < 0)
    return std::unexpected(
        Error::from_errno("use Landlock", -abi)
            .kind(ErrorKind::unavailable)
            .hint("a kernel with CONFIG_SECURITY_LANDLOCK=y and landlock in its lsm= list is needed"));
  landlock::RulesetAttribute attribute;
  attribute.handled_fs = landlock::all_fs_rights(abi);
  if (confinement.connect_ports) attribute.handled_net = landlock::all_net_rights(abi);
  if (confinement.scope_signals) attribute.scoped = landlock::all_scopes(abi);
  const Fd ruleset(landlock::create_ruleset(attribute, abi));
  if (!ruleset) return fail_errno("create a Landlock ruleset");
  if (attribute.handled_net != 0) {
    for (const uint16_t port : *confinement.connect_ports)
      if (landlock::add_port(ruleset.get(), port, landlock::kConnectTcp) != 0)
        return fail_errno("allow TCP port {} by Landlock", port);
  }
  if (landlock::restrict_self(ruleset.get()) != 0) return fail_errno("enter a Landlock domain");
  return {};
}

}  // namespace

Result<uint64_t> clamp_limit(int resource, uint64_t value) {
  rlimit limit{};
  if (::getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0) return fail_errno("read limit {}", resource);
  const rlim_t wanted = std::min<rlim_t>(value, limit.rlim_max);
  if (limit.rlim_cur != wanted || limit.rlim_max != wanted) {
    limit = {wanted, wanted};
    if (::setrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0)
      return fail_errno("set limit {} to {}", resource, wanted);
  }
  return wanted;
}

Result<void> drop_capabilities(uint64_t keep, BoundingSet bounding) {
  STOCKADE_ASSIGN(const CapabilitySets before, read_capabilities());
  const bool may_empty = (before.effective >> CAP_SETPCAP & 1) != 0;
  if (!may_empty && bounding == BoundingSet::must_be_empty)
    return fail(ErrorKind::internal, "emptying the bounding set needs CAP_SETPCAP, which is gone already");
  if ((keep & ~before.permitted) != 0)
    return fail(ErrorKind::internal, "capabilities {:#x} are to be kept, but only {:#x} are there", keep,
                before.permitted);
  if (may_empty) {
    if (::prctl(PR_SET_SECUREBITS, kLockedSecurebits, 0, 0, 0) != 0) return fail_errno("lock the securebits");
    STOCKADE_TRY(empty_bounding_set());
  }
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) return fail_errno("clear ambient capabilities");
  STOCKADE_TRY(write_capabilities(keep));
  return verify_capabilities(keep);
}

Result<void> forbid_new_privileges() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno("set no_new_privs");
  if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) return fail(ErrorKind::internal, "no_new_privs did not hold");
  return {};
}

int load_seccomp_filter(std::span<const sock_filter> filter, unsigned int flags) {
  const sock_fprog program{static_cast<unsigned short>(filter.size()), const_cast<sock_filter*>(filter.data())};
  const long result = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
  return result < 0 ? -errno : static_cast<int>(result);
}

namespace {

Result<void> confine(const Confinement& confinement) {
  if (confinement.filter.empty()) return fail(ErrorKind::internal, "no seccomp filter was given");
  const std::string name(confinement.name.substr(0, 15));
  if (::prctl(PR_SET_NAME, name.c_str(), 0, 0, 0) != 0) return fail_errno("name the process");
  STOCKADE_TRY(set_death_signal(confinement));
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return fail_errno("forbid dumps and tracing");
  STOCKADE_TRY(set_limits(confinement));
  STOCKADE_TRY(drop_capabilities(confinement.keep_capabilities, BoundingSet::if_possible));
  STOCKADE_TRY(forbid_new_privileges());
  if (confinement.landlock) STOCKADE_TRY(deny_files(confinement));
  if (const int loaded = load_seccomp_filter(confinement.filter, 0); loaded < 0)
    return std::unexpected(
        Error::from_errno("load the seccomp filter", -loaded).hint("a kernel with CONFIG_SECCOMP_FILTER=y is needed"));
  return {};
}

}  // namespace

Result<void> confine_worker(const Confinement& confinement) {
  auto confined = confine(confinement);
  if (!confined)
    return std::unexpected(std::move(confined).error().context(fmt::format("confine the {}", confinement.name)));
#ifdef STOCKADE_SHADOW_MEMORY
  no_leak_check = true;
#endif
  return {};
}

}  // namespace stockade

#ifdef STOCKADE_SHADOW_MEMORY
// LeakSanitizer asks at exit. It would trace us from a thread of its own, which no confined process may start.
extern "C" int __lsan_is_turned_off() { return stockade::no_leak_check ? 1 : 0; }
#endif
