#include "sandbox/compile.h"

#include "policy/decision.h"
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sandbox/environment.h"
#include "sandbox/file_mounts.h"
#include "sandbox/host_view.h"
#include "sandbox/install_roots.h"
#include "sandbox/program_dirs.h"
#include "sandbox/trust.h"

namespace stockade::sandbox {
namespace {

constexpr uint64_t kDefaultPids = 4096;
constexpr uint64_t kDefaultDisk = 10ull << 30;
constexpr uint64_t kBytesPerInode = 16 << 10;

std::unexpected<Error> command_error(int number, const std::string& sentence, std::string_view hint) {
  return std::unexpected(Error::from_errno(sentence, number).kind(ErrorKind::invalid_input).hint(hint));
}

// The command's program as the host names it: spelled path and real path.
struct Program {
  std::string spelled;
  Located located;
};

Result<Program> find_program(const std::string& name, const std::string& workdir, const HostTree& tree,
                             const std::vector<Mount>& files, const std::vector<std::string>& search_path) {
  if (name.empty()) return command_error(ENOENT, "the command has no name", "write stockade run -- COMMAND");
  std::vector<std::string> candidates;
  if (name.find('/') != std::string::npos) {
    // As it will be named inside; a path that no mount of the policy covers can only be the host's own.
    const std::string inside = normalized(name.starts_with('/') ? name : join(workdir, name));
    candidates.push_back(outside_of(files, inside).value_or(inside));
  } else {
    for (const std::string& directory : search_path) candidates.push_back(join(directory, name));
  }
  bool found_other = false;
  for (std::string& candidate : candidates) {
    auto located = tree.locate(candidate);
    if (!located) continue;
    if (located->is_file() && (located->status.st_mode & 0111) != 0)
      return Program{std::move(candidate), std::move(*located)};
    found_other = true;
  }
  if (found_other) {
    return command_error(EACCES, fmt::format("start {}", name),
                         "it is not an executable file: chmod +x, or name its interpreter");
  }
  return command_error(ENOENT, fmt::format("find {}", name),
                       name.find('/') != std::string::npos
                           ? "the path is looked up inside the sandbox: see `files` and `at`"
                           : "it is in no directory of PATH");
}

bool is_shown(const std::vector<Mount>& files, const std::string& real_path) {
  return std::ranges::any_of(files, [&](const Mount& mount) {
    return (mount.kind == MountKind::bind || mount.kind == MountKind::overlay_read) &&
           is_at_or_below(real_path, mount.source);
  });
}

std::unexpected<Error> not_visible(const std::string& what, const std::string& real_path) {
  return command_error(
      ENOENT, fmt::format("start {}: the sandbox does not show {}", what, real_path),
      fmt::format(
          "it is in none of the places where programs are installed: add {{ host: {}, access: read }} to `files`",
          parent_of(real_path)));
}

// The whole of what the agent sees, but for the policy's own mounts.
struct View {
  std::vector<Mount> mounts;
  ViewVariables variables;
  std::vector<std::string> notes;
};

Result<View> make_view(const policy::Policy& policy, const Surroundings& surroundings, const HostTree& tree,
                       const Inside& inside, const std::vector<Mount>& files, const std::string& workdir,
                       const std::string& command) {
  View view;
  InstallRoots roots(tree, surroundings, [&](const std::string& path) { return is_shown(files, path); });
  const bool listed = policy.programs.allow.has_value();
  roots.add_path_entries(listed ? PathRoots::none : PathRoots::all,
                         [&](const std::string& path) { return is_shown(files, path); });
  STOCKADE_ASSIGN(
      const Program program,
      find_program(command, workdir, tree, files, listed ? search_order(roots.search_path()) : roots.search_path()));

  if (listed) {
    STOCKADE_TRY(add_listed_programs(tree, {.allow = *policy.programs.allow, .command = program.spelled}, roots,
                                     view.mounts, view.notes));
  } else {
    const bool in_files = is_shown(files, program.located.path);
    // A name found along PATH was put there by the person; a path may be anything.
    if (!in_files) roots.add_program(program.spelled, command.find('/') == std::string::npos);
    if (in_files) roots.add_interpreter(program.located.path);
    const std::string parent = parent_of(program.spelled);
    if (const auto place = tree.locate(parent); place && !is_shown(files, place->path) &&
                                                !roots.is_chosen_by_a_run(parent) &&
                                                roots.covers(program.located.path)) {
      roots.add_directory(place->path);
    }
    add_system_trees(tree, view.mounts);
    for (Mount& mount : roots.mounts()) view.mounts.push_back(std::move(mount));
  }
  const auto visible = [&](const std::string& path) { return roots.covers(path) || is_shown(files, path); };
  if (!visible(program.located.path)) return not_visible(command, program.located.path);
  if (const auto interpreter = interpreter_of(tree, program.located.path)) {
    const auto located = tree.locate(interpreter->path);
    if (!located)
      return command_error(ENOENT, fmt::format("start {}: its interpreter {}", command, interpreter->path),
                           "install it");
    if (!visible(located->path)) return not_visible(command, located->path);
  }
  const auto in_files = [&](const std::string& path) { return is_shown(files, path); };
  view.variables = {roots.path_inside(in_files), roots.variables(in_files)};
  view.notes.insert(view.notes.end(), roots.notes().begin(), roots.notes().end());
  STOCKADE_TRY(add_etc(tree, surroundings, inside, view.mounts));
  if (policy::intercepts(policy.network))
    STOCKADE_TRY(add_trust(tree, {.home = inside.home, .search_path = roots.search_path()}, view.mounts,
                           view.variables.installations));
  add_scratch_places(inside, view.mounts);
  return view;
}

// Where the agent starts. The current directory if it is shown, else the first of the policy's directories, else HOME.
Result<std::string> choose_workdir(const policy::Policy& policy, const Surroundings& surroundings, const HostTree& tree,
                                   const Inside& inside, const std::vector<Mount>& files) {
  if (policy.run.workdir) {
    const std::string wanted = normalized(*policy.run.workdir);
    if (wanted == inside.home || wanted == "/tmp" || wanted == "/") return wanted;
    const Mount* mount = mount_of(files, wanted);
    if (mount != nullptr && mount->kind == MountKind::staging && mount->target == wanted) return wanted;
    const auto outside = outside_of(files, wanted);
    const auto status = tree.status(outside.value_or(is_system_path(wanted) ? wanted : ""));
    if (!status || !S_ISDIR(status->st_mode)) {
      return std::unexpected(
          Error(ErrorKind::invalid_input, fmt::format("run.workdir {} is no directory inside", wanted))
              .hint("name a directory that an entry of `files` mounts, or below one"));
    }
    return wanted;
  }
  for (const Mount& mount : files) {
    if (mount.kind == MountKind::staging) continue;
    if (const auto below = relative_to(surroundings.cwd, mount.source)) return join(mount.target, *below);
  }
  for (const Mount& mount : files) {
    if (mount.kind == MountKind::staging) continue;
    const auto status = tree.status(mount.source);
    if (status && S_ISDIR(status->st_mode)) return mount.target;
  }
  return inside.home;
}

Limit limit_with(uint64_t value, const LimitSupport::Support& support) { return {value, support.strength, support.by}; }

Result<Limits> choose_limits(const policy::Sandbox& sandbox, const Surroundings& surroundings,
                             const LimitSupport& support, bool staging) {
  Limits limits;
  limits.memory = limit_with(sandbox.memory.value_or(surroundings.memory / 2), support.memory);
  if (sandbox.cpus && *sandbox.cpus < surroundings.cpus) {
    limits.cpus = limit_with(static_cast<uint64_t>(std::llround(*sandbox.cpus * 1000)), support.cpus);
  }
  limits.pids = limit_with(sandbox.pids.value_or(kDefaultPids), support.pids);
  // tmpfs counts as memory, so what is larger needs a disk; there nobody but us holds it. Where the kernel does not
  // hold memory, it lends as much of it to files only to whoever asked for that. What is staged has to outlive us, so
  // it lies on a disk, and the rest beside it: one limit, one measure.
  const uint64_t disk = sandbox.disk.value_or(kDefaultDisk);
  const bool in_memory =
      !staging && disk <= limits.memory->value && (sandbox.disk || limits.memory->strength == Strength::hard);
  const LimitSupport::Support disk_support = in_memory ? LimitSupport::Support{Strength::hard, "tmpfs size"}
                                                       : LimitSupport::Support{Strength::polled, "supervisor"};
  limits.disk = limit_with(disk, disk_support);
  limits.inodes = limit_with(sandbox.inodes.value_or(std::max<uint64_t>(disk / kBytesPerInode, 1024)), disk_support);
  if (sandbox.open_files) limits.open_files = Limit{*sandbox.open_files, Strength::hard, "RLIMIT_NOFILE"};
  if (sandbox.file_size) limits.file_size = Limit{*sandbox.file_size, Strength::hard, "RLIMIT_FSIZE"};
  return limits;
}

// What can't be held is refused; with `strictness: hard` also what is only measured.
Result<void> check_strictness(const Limits& limits, policy::Strictness strictness) {
  const std::pair<std::string_view, const std::optional<Limit>*> all[] = {
      {"memory", &limits.memory}, {"cpus", &limits.cpus},     {"pids", &limits.pids},
      {"disk", &limits.disk},     {"inodes", &limits.inodes},
  };
  std::string refused;
  std::string polled;
  for (const auto& [name, limit] : all) {
    if (!*limit) continue;
    std::string& list = (*limit)->strength == Strength::refused ? refused : polled;
    if ((*limit)->strength != Strength::hard) list += (list.empty() ? "" : ", ") + std::string(name);
  }
  if (!refused.empty()) {
    return std::unexpected(
        Error(ErrorKind::unavailable, fmt::format("nothing on this machine can hold the limit on {}", refused))
            .hint("stockade doctor says what is missing"));
  }
  if (strictness == policy::Strictness::hard && !polled.empty()) {
    return std::unexpected(
        Error(ErrorKind::unavailable,
              fmt::format("`strictness: hard`, but here the kernel does not hold {} by itself", polled))
            .hint("a delegated cgroup holds memory, cpus and pids; `disk` at most as large as `memory` is held by "
                  "tmpfs where no mount is write-only; else `strictness: polled`"));
  }
  return {};
}

// The policy's mounts take the place of ours at and below their targets.
void drop_shadowed(std::vector<Mount>& ours, const std::vector<Mount>& files) {
  std::erase_if(ours, [&](const Mount& mount) {
    return std::ranges::any_of(files, [&](const Mount& file) { return is_at_or_below(mount.target, file.target); });
  });
  // A mount can't stand below a link.
  for (Mount& mount : ours) {
    if (mount.kind != MountKind::symlink) continue;
    const auto is_below = [&](const Mount& other) {
      return other.target != mount.target && is_at_or_below(other.target, mount.target);
    };
    if (std::ranges::none_of(files, is_below) && std::ranges::none_of(ours, is_below)) continue;
    if (mount.target == "/var/tmp") mount = {.kind = MountKind::scratch, .target = "/var/tmp", .mode = 01777};
    if (mount.target == "/var/run") mount = {.kind = MountKind::directory, .target = "/var/run"};
  }
}

}  // namespace

Result<Compiled> compile(const policy::Policy& policy, const Surroundings& surroundings, const HostTree& tree,
                         const CompileOptions& options) {
  Compiled out;
  SandboxPlan& plan = out.plan;
  plan.command = options.command.empty() ? policy.run.command : options.command;
  if (plan.command.empty()) {
    return std::unexpected(Error(ErrorKind::invalid_input, "there is no command")
                               .hint("write stockade run -- COMMAND, or run.command in the policy"));
  }
  STOCKADE_ASSIGN(FileMounts files, compile_files(policy, surroundings, tree));
  const Inside inside = choose_inside(surroundings, policy.sandbox, plan.hostname);
  STOCKADE_ASSIGN(plan.workdir, choose_workdir(policy, surroundings, tree, inside, files.mounts));
  STOCKADE_ASSIGN(View view,
                  make_view(policy, surroundings, tree, inside, files.mounts, plan.workdir, plan.command[0]));
  drop_shadowed(view.mounts, files.mounts);
  STOCKADE_TRY(hide_matches_in(policy, tree, files.mounts, view.mounts));

  plan.program_list = policy.programs.allow.has_value();
  for (Mount& mount : view.mounts) {
    if (plan.program_list && mount.kind == MountKind::scratch) mount.exec = false;
    plan.mounts.push_back(std::move(mount));
  }
  plan.mounts.insert(plan.mounts.end(), files.mounts.begin(), files.mounts.end());
  std::ranges::sort(plan.mounts, {}, &Mount::target);  // no target stands twice
  STOCKADE_TRY(check_mount_points(tree, files.mounts, plan.mounts));

  for (const Mount& mount : files.mounts) {
    if (mount.kind != MountKind::bind || !mount.writable) continue;
    const auto status = tree.status(mount.source);
    if (!status || !S_ISDIR(status->st_mode)) continue;
    plan.notify_sockets = true;  // somebody outside may bind a socket there at any time
    out.writable_trees.push_back(mount.source);
  }

  plan.uid = inside.uid;
  plan.gid = inside.gid;
  plan.minimal_proc = policy.sandbox.proc == policy::ProcView::minimal;
  plan.network = true;  // without a rule, too: a refusal that is ours is explained, and an event
  plan.explicit_proxy = policy.sandbox.env.proxy;
  plan.terminal = options.terminal;
  plan.strictness = policy.sandbox.strictness;
  plan.staging_root = options.staging_root;
  STOCKADE_ASSIGN(plan.environment,
                  make_environment(policy.sandbox.env, surroundings, inside, view.variables, options.terminal));
  const bool staging =
      std::ranges::any_of(files.mounts, [](const Mount& mount) { return mount.kind == MountKind::staging; });
  STOCKADE_ASSIGN(plan.limits, choose_limits(policy.sandbox, surroundings, options.support, staging));
  STOCKADE_TRY(check_strictness(plan.limits, plan.strictness));

  out.default_workspace = files.default_workspace;
  out.notes = std::move(files.notes);
  out.notes.insert(out.notes.end(), view.notes.begin(), view.notes.end());
  return out;
}

std::vector<std::string> describe_view(const SandboxPlan& plan) {
  std::vector<std::string> lines;
  std::vector<std::string> system;
  std::vector<std::string> scratch;
  size_t hidden = 0;
  for (const Mount& mount : plan.mounts) {
    hidden += mount.hidden.size();
    switch (mount.kind) {
      case MountKind::scratch:
        scratch.push_back(mount.target);
        break;
      case MountKind::staging:
        lines.push_back(fmt::format("{} is empty inside; what is written there comes out in {} when the run ends",
                                    mount.target, mount.source));
        break;
      case MountKind::bind:
      case MountKind::overlay_read:
        if (mount.target.starts_with("/etc/")) break;
        if (is_system_path(mount.target)) {
          system.push_back(mount.target);
          break;
        }
        lines.push_back(fmt::format("{}{} is {}", mount.target,
                                    mount.source == mount.target ? "" : " (" + mount.source + ")",
                                    mount.writable ? "writable, at once and outside too" : "readable"));
        for (const std::string& path : mount.read_only) {
          lines.push_back(fmt::format("{} is read-only, since it would run later", join(mount.target, path)));
        }
        for (const std::string& path : mount.sockets) {
          lines.push_back(fmt::format("the socket {} may be connected to", join(mount.target, path)));
        }
        break;
      default:
        break;
    }
  }
  lines.insert(lines.begin(),
               fmt::format("{} of this machine, read-only; of /etc only what programs need, without accounts or keys",
                           fmt::join(system, ", ")));
  lines.push_back(fmt::format("{} are empty, writable, and gone at the end", fmt::join(scratch, ", ")));
  if (hidden > 0) lines.push_back(fmt::format("{} files or directories in these trees are hidden", hidden));
  lines.push_back("nothing else of the home, /root, /var, /run, /srv, /mnt or /sys is there");
  return lines;
}

}  // namespace stockade::sandbox
