#include "sandbox/landlock.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/landlock_abi.h"

namespace stockade::sandbox {

namespace {

using namespace stockade::landlock;

constexpr uint64_t kReadRights = kReadFile | kReadDir;
// Not kMakeChar and kMakeBlock: devices are the seccomp filter's to refuse as well.
constexpr uint64_t kWriteRights = kReadRights | kWriteFile | kRemoveDir | kRemoveFile | kMakeDir | kMakeReg |
                                  kMakeSock | kMakeFifo | kMakeSym | kRefer | kTruncate;
constexpr uint64_t kFileRights = kExecute | kWriteFile | kReadFile | kTruncate | kIoctlDev;

uint64_t rights_of(LandlockAccess access) {
  switch (access) {
    case LandlockAccess::list:
      return kReadDir;
    case LandlockAccess::read:
      return kReadRights;
    case LandlockAccess::read_execute:
      return kReadRights | kExecute;
    case LandlockAccess::write:
      return kWriteRights;
    case LandlockAccess::write_execute:
      return kWriteRights | kExecute;
    case LandlockAccess::process:
      return kReadRights | kWriteFile | kTruncate;
    case LandlockAccess::device:
      return kReadRights | kWriteFile | kTruncate | kIoctlDev;
  }
  return 0;
}

Result<void> add_rule(int ruleset, const LandlockRule& rule, int abi) {
  const Fd path(::open(rule.path.c_str(), O_PATH | O_CLOEXEC | O_NOFOLLOW));
  if (!path) {
    if (rule.optional && errno == ENOENT) return {};
    return fail_errno("open {} for its Landlock rule", rule.path);
  }
  struct stat status{};
  if (::fstat(path.get(), &status) != 0) return fail_errno("look at {} for its Landlock rule", rule.path);
  if (S_ISLNK(status.st_mode)) {
    if (rule.optional) return {};
    return fail(ErrorKind::internal, "{} is a symbolic link: a Landlock rule needs the place itself", rule.path);
  }
  uint64_t rights = rights_of(rule.access) & all_fs_rights(abi);
  if (!S_ISDIR(status.st_mode)) rights &= kFileRights;
  if (add_path(ruleset, path.get(), rights) != 0) return fail_errno("add a Landlock rule for {}", rule.path);
  return {};
}

LandlockAccess access_of(const Mount& mount) {
  const bool writable = mount.kind == MountKind::scratch || mount.kind == MountKind::staging ||
                        (mount.kind == MountKind::bind && mount.writable);
  if (mount.kind == MountKind::directory) return LandlockAccess::list;
  if (writable) return mount.exec ? LandlockAccess::write_execute : LandlockAccess::write;
  return mount.exec ? LandlockAccess::read_execute : LandlockAccess::read;
}

}  // namespace

LandlockRules landlock_rules(const SandboxPlan& plan) {
  LandlockRules rules;
  rules.paths.push_back({"/", LandlockAccess::list});
  rules.paths.push_back({"/proc", LandlockAccess::process});
  rules.paths.push_back({"/dev", LandlockAccess::device});
  rules.paths.push_back({"/dev/shm", LandlockAccess::write, true});
  for (const Mount& mount : plan.mounts) {
    if (mount.kind == MountKind::symlink) continue;  // what it names has its own rule, or none
    rules.paths.push_back({mount.target, access_of(mount), mount.optional});
  }
  return rules;
}

Result<int> landlock_abi() {
  const int abi = kernel_abi();
  constexpr std::string_view kRemedy =
      "Linux 5.19 or newer with CONFIG_SECURITY_LANDLOCK=y, and landlock in lsm= on the kernel's command line";
  if (abi < 0)
    return std::unexpected(Error::from_errno("use Landlock", -abi).kind(ErrorKind::unavailable).hint(kRemedy));
  if (abi < kMinimumLandlockAbi)
    return std::unexpected(
        Error(ErrorKind::unavailable, fmt::format("Landlock has ABI {} here, {} is needed: below it no "
                                                  "file can be moved between directories",
                                                  abi, kMinimumLandlockAbi))
            .hint(kRemedy));
  return abi;
}

Result<int> restrict_with_landlock(const LandlockRules& rules) {
  STOCKADE_ASSIGN(const int abi, landlock_abi());
  RulesetAttribute attribute;
  attribute.handled_fs = all_fs_rights(abi);
  if (rules.scope_signals) attribute.scoped |= kScopeSignal & all_scopes(abi);
  if (rules.scope_abstract_sockets) attribute.scoped |= kScopeAbstractUnix & all_scopes(abi);
  const Fd ruleset(create_ruleset(attribute, abi));
  if (!ruleset) return fail_errno("create a Landlock ruleset");
  for (const LandlockRule& rule : rules.paths) STOCKADE_TRY(add_rule(ruleset.get(), rule, abi));
  if (restrict_self(ruleset.get()) != 0) return fail_errno("enter the Landlock domain");
  return abi;
}

}  // namespace stockade::sandbox
