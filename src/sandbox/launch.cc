#include "sandbox/launch.h"

#include <linux/openat2.h>
#include <sys/syscall.h>

#include <algorithm>
#include <charconv>

#include "sandbox/mounts.h"
#include "sandbox/scratch.h"

namespace stockade::sandbox {

namespace {

// Room for what we put into the private tmpfs ourselves: directories, small files, whiteouts.
constexpr uint64_t kOwnBytes = 4U << 20;
constexpr uint64_t kOwnInodes = 64;
constexpr uint64_t kShmOnDiskRuns = 64U << 20;  // scratch is elsewhere: /dev/shm and our own files
constexpr uint64_t kDefaultTmpfs = 512U << 20;  // a plan without any disk limit
constexpr uint64_t kBytesPerInode = 16U << 10;

Result<Fd> open_source(const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  Fd fd(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof(how))));
  if (fd) return fd;
  const int number = errno;
  Error error = Error::from_errno(fmt::format("open {}", path), number);
  if (number != ELOOP) return std::unexpected(std::move(error));
  return std::unexpected(std::move(error)
                             .kind(ErrorKind::denied)
                             .hint("a symbolic link stands in a path that had none when the policy was read"));
}

// Undoes the octal escapes of /proc/self/mountinfo.
std::string unescape(std::string_view field) {
  std::string out;
  for (size_t i = 0; i < field.size(); ++i) {
    unsigned value = 0;
    if (field[i] == '\\' && i + 3 < field.size() &&
        std::from_chars(field.data() + i + 1, field.data() + i + 4, value, 8).ec == std::errc()) {
      out.push_back(static_cast<char>(value));
      i += 3;
    } else {
      out.push_back(field[i]);
    }
  }
  return out;
}

Result<std::vector<std::string>> read_mount_points() {
  STOCKADE_ASSIGN(const std::string text, read_file("/proc/self/mountinfo", 16U << 20));
  std::vector<std::string> points;
  size_t at = 0;
  while (at < text.size()) {
    size_t end = text.find('\n', at);
    if (end == std::string::npos) end = text.size();
    std::string_view line(text.data() + at, end - at);
    for (int field = 0; field < 4; ++field) line.remove_prefix(std::min(line.size(), line.find(' ') + 1));
    points.push_back(unescape(line.substr(0, line.find(' '))));
    at = end + 1;
  }
  return points;
}

void note_submounts(Source& source, const std::vector<std::string>& points) {
  const std::string prefix = source.path == "/" ? "/" : source.path + "/";
  for (const std::string& point : points) {
    if (!point.starts_with(prefix)) continue;
    std::string relative = point.substr(prefix.size());
    if (!relative.empty() &&
        std::find(source.submounts.begin(), source.submounts.end(), relative) == source.submounts.end())
      source.submounts.push_back(std::move(relative));
  }
}

// The owner of the source becomes the agent, as far as this mount shows it. A user's agent is the user already.
Result<void> show_as_agents(Source& source, Launch& launch) {
  if (launch.identity.mode == Mode::user) return {};
  STOCKADE_ASSIGN(source.idmap, launch.idmaps.for_owner(source.info.st_uid, source.info.st_gid, launch.identity));
  return {};
}

Result<void> open_mount_source(const Mount& mount, Source& source, Launch& launch) {
  source.path = mount.source;
  auto pin = open_source(mount.source);
  if (!pin) {
    if (mount.optional && (pin.error().error_number() == ENOENT || pin.error().error_number() == ENOTDIR)) return {};
    return std::unexpected(std::move(pin).error());
  }
  source.pin = std::move(*pin);
  STOCKADE_ASSIGN(source.info, stat_of(source.pin.get()));
  source.present = true;
  if (!S_ISDIR(source.info.st_mode) && !S_ISREG(source.info.st_mode) && mount.kind != MountKind::bind)
    return fail(ErrorKind::denied, "{} is neither a directory nor a file", mount.source);
  return mount.persons_tree ? show_as_agents(source, launch) : Result<void>{};
}

// An empty directory in the run's state, owned by `uid`. Only scratch may be there already (scratch.h).
Result<void> make_state_directory(const std::string& path, uid_t uid, gid_t gid, mode_t mode, Source& source,
                                  bool is_scratch) {
  if (::mkdir(path.c_str(), 0700) < 0 && !(is_scratch && errno == EEXIST)) return fail_errno("make {}", path);
  STOCKADE_ASSIGN(source.pin, open_source(path));
  source.path = path;
  if (::geteuid() == 0 && ::fchownat(source.pin.get(), "", uid, gid, AT_EMPTY_PATH) < 0)
    return fail_errno("give away {}", path);
  if (::chmod(path.c_str(), mode) < 0) return fail_errno("set the mode of {}", path);
  STOCKADE_ASSIGN(source.info, stat_of(source.pin.get()));
  source.present = true;
  return {};
}

// What the agent leaves in a staging directory is to belong to the owner of the place where it will be published.
Result<void> make_staging(const SandboxPlan& plan, size_t index, Launch& launch) {
  uid_t uid = ::geteuid();
  gid_t gid = ::getegid();
  struct stat info{};
  if (::lstat(plan.mounts[index].source.c_str(), &info) == 0) {
    uid = info.st_uid;
    gid = info.st_gid;
  }
  Source& source = launch.sources[index];
  STOCKADE_TRY(make_state_directory(staging_directory(plan, index), uid, gid, 0755, source, false));
  return show_as_agents(source, launch);
}

Result<void> prepare_sources(Launch& launch) {
  const SandboxPlan& plan = *launch.plan;
  launch.sources.resize(plan.mounts.size());
  bool overlays = false;
  for (size_t i = 0; i < plan.mounts.size(); ++i) {
    const Mount& mount = plan.mounts[i];
    switch (mount.kind) {
      case MountKind::bind:
      case MountKind::overlay_read:
        overlays |= mount.kind == MountKind::overlay_read;
        STOCKADE_TRY(open_mount_source(mount, launch.sources[i], launch));
        break;
      case MountKind::staging:
        STOCKADE_TRY(make_staging(plan, i, launch));
        break;
      case MountKind::scratch:
        if (launch.scratch_on_disk)
          STOCKADE_TRY(make_state_directory(scratch_directory(plan, i), launch.identity.agent_kuid,
                                            launch.identity.agent_kgid, mount.mode, launch.sources[i], true));
        break;
      case MountKind::trust:
      case MountKind::content:
      case MountKind::symlink:
      case MountKind::directory:
        break;
    }
  }
  if (!overlays) return {};
  STOCKADE_ASSIGN(const std::vector<std::string> points, read_mount_points());
  for (size_t i = 0; i < plan.mounts.size(); ++i) {
    if (plan.mounts[i].kind == MountKind::overlay_read && launch.sources[i].is_directory())
      note_submounts(launch.sources[i], points);
  }
  return {};
}

void size_private_filesystem(Launch& launch) {
  const Limits& limits = launch.plan->limits;
  launch.scratch_on_disk = limits.disk && limits.disk->strength != Strength::hard && !launch.plan->staging_root.empty();
  launch.tmpfs_bytes = kDefaultTmpfs;
  if (launch.scratch_on_disk)
    launch.tmpfs_bytes = kShmOnDiskRuns;
  else if (limits.disk)
    launch.tmpfs_bytes = limits.disk->value;
  launch.tmpfs_inodes =
      limits.inodes && !launch.scratch_on_disk ? limits.inodes->value : launch.tmpfs_bytes / kBytesPerInode;
  launch.own_bytes = kOwnBytes;
  launch.own_inodes = kOwnInodes;
  for (const Mount& mount : launch.plan->mounts) {
    launch.own_bytes += mount.content.size();
    launch.own_inodes += 8 + 8 * mount.hidden.size();
  }
}

std::string_view path_of(const std::vector<std::string>& environment) {
  for (const std::string& variable : environment) {
    if (variable.starts_with("PATH=")) return std::string_view(variable).substr(5);
  }
  return "/usr/local/bin:/usr/bin:/bin";
}

Result<void> prepare_exec(Launch& launch) {
  const SandboxPlan& plan = *launch.plan;
  if (plan.command.empty() || plan.command[0].empty()) return fail(ErrorKind::invalid_input, "the command is empty");
  const std::string& name = plan.command[0];
  if (name.find('/') != std::string::npos) {
    launch.programs.push_back(name);
  } else {
    std::string_view path = path_of(plan.environment);
    while (true) {
      const size_t colon = path.find(':');
      const std::string_view place = path.substr(0, colon);
      // An empty or relative entry would mean the working directory, which the agent can write.
      if (place.starts_with('/')) launch.programs.push_back(fmt::format("{}/{}", place, name));
      if (colon == std::string_view::npos) break;
      path.remove_prefix(colon + 1);
    }
  }
  for (const std::string& word : plan.command) launch.argv.push_back(const_cast<char*>(word.c_str()));
  launch.argv.push_back(nullptr);
  for (const std::string& word : plan.environment) launch.environment.push_back(const_cast<char*>(word.c_str()));
  launch.environment.push_back(nullptr);
  return {};
}

}  // namespace

std::string staging_directory(const SandboxPlan& plan, size_t mount_index) {
  return fmt::format("{}/staging-{}", plan.staging_root, mount_index);
}

Result<Launch> prepare_launch(const SandboxPlan& plan, Mode mode) {
  Launch launch;
  launch.plan = &plan;
  launch.outer_uid = ::geteuid();
  launch.outer_gid = ::getegid();
  STOCKADE_ASSIGN(launch.identity, choose_identity(plan, mode));
  launch.sysctls = Fd(::open("/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC));
  size_private_filesystem(launch);
  STOCKADE_TRY(prepare_sources(launch));
  STOCKADE_TRY(prepare_exec(launch));
  return launch;
}

}  // namespace stockade::sandbox
