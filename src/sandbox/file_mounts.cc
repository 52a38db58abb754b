#include "sandbox/file_mounts.h"

#include <fmt/format.h>

#include <algorithm>

#include "policy/glob.h"
#include "sandbox/hide_match.h"
#include "sandbox/host_view.h"
#include "sandbox/workspace_guard.h"

namespace stockade::sandbox {
namespace {

using policy::Access;
using policy::FileRule;

constexpr std::string_view kDefaultPreset = "preset:default";

std::unexpected<Error> refuse(const FileRule& rule, std::string sentence, std::string_view hint) {
  const std::string where = rule.where.line > 0 ? rule.where.to_string() + ": " : "";
  return std::unexpected(Error(ErrorKind::invalid_input, where + std::move(sentence)).hint(hint));
}

Result<Located> find_source(const FileRule& rule, const HostTree& tree) {
  auto found = tree.resolve(rule.host);
  if (found) return found;
  const int error = found.error().error_number();
  if (error == ENOENT || error == ENOTDIR) {
    return refuse(rule, fmt::format("{} does not exist", rule.host), "create it, or take the entry out of `files`");
  }
  if (error == EACCES)
    return refuse(rule, fmt::format("{} can't be read", rule.host), "its directories must let you in");
  return std::unexpected(std::move(found).error().context("mount " + rule.host));
}

Result<void> check_source(const FileRule& rule, const Located& source, const Surroundings& surroundings) {
  for (const std::string_view place : {"/proc", "/sys", "/dev"}) {
    if (is_at_or_below(source.path, place)) {
      return refuse(
          rule, fmt::format("{} can't be mounted: {} is the kernel's interface to the whole machine", rule.host, place),
          "take the entry out of `files`");
    }
  }
  if (!source.is_directory() && !source.is_file()) {
    return refuse(rule, fmt::format("{} is neither a directory nor a regular file", rule.host),
                  "a socket is named under `sockets` of the entry that mounts its directory");
  }
  const std::string broad = why_broad(surroundings, source.path);
  if (!broad.empty() && rule.reason.empty()) {
    return refuse(rule, fmt::format("{} is not given to an agent by itself: {}", rule.host, broad),
                  rule.where.file == kDefaultPreset
                      ? "change to the directory of the work, or name it under `files` with a reason"
                      : "mount the directory that the work needs, or add `reason: …` to the entry");
  }
  return {};
}

Result<void> check_target(const FileRule& rule, const std::vector<Mount>& earlier) {
  if (const std::string why = why_not_a_target(rule.at); !why.empty()) {
    return refuse(rule, fmt::format("nothing can be mounted at {}: {}", rule.at, why),
                  "choose another `at`, such as /work");
  }
  for (const Mount& mount : earlier) {
    if (mount.target == rule.at) {
      return refuse(rule, fmt::format("{} and {} both stand at {}", mount.source, rule.host, rule.at),
                    "give one of them another `at`");
    }
  }
  return {};
}

Mount mount_for(const FileRule& rule, const Located& source, bool program_list) {
  Mount mount{.kind = MountKind::bind, .source = source.path, .target = rule.at};
  mount.persons_tree = true;
  mount.exec = !program_list || rule.exec;
  switch (rule.access) {
    case Access::read:
      if (source.is_directory()) mount.kind = MountKind::overlay_read;
      break;
    case Access::write:
      mount.writable = true;
      break;
    case Access::write_only:
      mount.kind = MountKind::staging;
      mount.writable = true;
      break;
    case Access::hide:
      break;
  }
  return mount;
}

Result<Mount> compile_rule(const FileRule& rule, const HostTree& tree, const Surroundings& surroundings,
                           bool program_list, std::vector<std::string>& notes) {
  STOCKADE_ASSIGN(const Located source, find_source(rule, tree));
  STOCKADE_TRY(check_source(rule, source, surroundings));
  if (rule.access == Access::write_only && !source.is_directory()) {
    return refuse(rule, fmt::format("{} is a file: write-only gives a directory", rule.host), "name the directory");
  }
  Mount mount = mount_for(rule, source, program_list);
  if (source.path != rule.host)
    notes.push_back(fmt::format("{} is a link: {} is what is mounted", rule.host, source.path));
  if (rule.access == Access::write && !source.is_directory()) {
    notes.push_back(
        fmt::format("{} is a single writable file: programs that save by renaming can't replace it", rule.at));
  }
  for (const std::string& socket : rule.sockets) {
    const auto below = relative_to(socket, rule.host);
    if (!below || below->empty())
      return refuse(rule, fmt::format("{} is not below {}", socket, rule.host), "name a socket in it");
    mount.sockets.push_back(*below);
  }
  if (!mount.sockets.empty() && !(rule.access == Access::write && source.is_directory())) {
    return refuse(rule, fmt::format("the sockets of {} can't be reached", rule.host),
                  "only a directory with `access: write` lets connections out");
  }
  if (source.is_directory() && mount.kind != MountKind::staging) {
    mount.hidden = own_state_below(tree, surroundings, source.path);
  }
  return mount;
}

void protect(const HostTree& tree, Mount& mount, std::vector<std::string>& notes) {
  const auto status = tree.status(mount.source);
  if (mount.kind != MountKind::bind || !mount.writable || !status || !S_ISDIR(status->st_mode)) return;
  Protections protections = protections_of(tree, mount.source);
  mount.read_only = std::move(protections.read_only);
  if (!protections.complete) {
    notes.push_back(
        fmt::format("{}: looked for hooks and other files that run later {} levels deep, in at most {} directories; "
                    "what is deeper stays writable",
                    mount.target, kScanDepth, kScanDirectories));
  }
}

bool is_below_a_hidden(const Mount& mount, const std::string& path) {
  return std::ranges::any_of(mount.hidden, [&](const std::string& hidden) { return is_at_or_below(path, hidden); });
}

std::vector<std::string> hide_globs(const policy::Policy& policy, bool absolute_only) {
  std::vector<std::string> globs;
  for (const FileRule& rule : policy.files) {
    if (rule.access == Access::hide && !(absolute_only && rule.host.starts_with("**/"))) globs.push_back(rule.host);
  }
  return globs;
}

bool is_tree(const HostTree& tree, const Mount& mount) {
  if (mount.kind == MountKind::overlay_read) return true;
  if (mount.kind != MountKind::bind) return false;
  const auto status = tree.status(mount.source);
  return status && S_ISDIR(status->st_mode);
}

Result<void> hide_in(const HostTree& tree, const std::vector<std::string>& globs, std::vector<Mount>& mounts) {
  if (globs.empty()) return {};
  std::vector<HideTree> trees;
  std::vector<Mount*> owners;
  for (Mount& mount : mounts) {
    if (is_tree(tree, mount)) {
      trees.push_back({.source = mount.source, .masks_links = mount.kind == MountKind::overlay_read, .hidden = {}});
      owners.push_back(&mount);
    } else if (mount.kind == MountKind::bind && std::ranges::any_of(globs, [&](const std::string& glob) {
                 return policy::hide_matches(glob, mount.source);
               })) {
      return fail(ErrorKind::invalid_input, "{} is mounted, and hidden by a `hide` glob", mount.source);
    }
  }
  STOCKADE_TRY(find_hidden(tree, globs, trees));
  for (size_t i = 0; i < trees.size(); ++i) {
    Mount& mount = *owners[i];
    for (std::string& path : trees[i].hidden) {
      if (!is_below_a_hidden(mount, path)) mount.hidden.push_back(std::move(path));
    }
    std::ranges::sort(mount.hidden);
    std::erase_if(mount.read_only, [&](const std::string& path) { return is_below_a_hidden(mount, path); });
  }
  return {};
}

}  // namespace

Result<FileMounts> compile_files(const policy::Policy& policy, const Surroundings& surroundings, const HostTree& tree) {
  FileMounts out;
  const bool program_list = policy.programs.allow.has_value();
  const bool hides =
      std::ranges::any_of(policy.files, [](const FileRule& rule) { return rule.access == Access::hide; });
  std::vector<FileRule> rules;
  for (const FileRule& rule : policy.files) {
    if (rule.access != Access::hide) rules.push_back(rule);
  }
  for (const FileRule& rule : rules) {
    STOCKADE_TRY(check_target(rule, out.mounts));
    STOCKADE_ASSIGN(Mount mount, compile_rule(rule, tree, surroundings, program_list, out.notes));
    if (hides && rule.access == Access::write && policy.sandbox.strictness == policy::Strictness::hard) {
      return refuse(rule,
                    fmt::format("`hide` can't be guaranteed in {}: a file saved anew outside is readable until it is "
                                "masked again, and `strictness: hard` refuses that",
                                rule.at),
                    "use `access: read`, or `strictness: polled`");
    }
    protect(tree, mount, out.notes);
    out.default_workspace |= rule.where.file == kDefaultPreset && mount.writable;
    out.mounts.push_back(std::move(mount));
  }
  std::ranges::sort(out.mounts, {}, &Mount::target);
  return out;
}

Result<void> hide_matches_in(const policy::Policy& policy, const HostTree& tree, std::vector<Mount>& files,
                             std::vector<Mount>& others) {
  STOCKADE_TRY(hide_in(tree, hide_globs(policy, false), files));
  return hide_in(tree, hide_globs(policy, true), others);
}

const Mount* mount_of(const std::vector<Mount>& mounts, std::string_view inside) {
  const Mount* deepest = nullptr;
  for (const Mount& mount : mounts) {
    if (is_at_or_below(inside, mount.target) && (deepest == nullptr || mount.target.size() >= deepest->target.size())) {
      deepest = &mount;
    }
  }
  return deepest;
}

std::optional<std::string> outside_of(const std::vector<Mount>& mounts, const std::string& inside) {
  const Mount* mount = mount_of(mounts, inside);
  if (mount == nullptr || (mount->kind != MountKind::bind && mount->kind != MountKind::overlay_read))
    return std::nullopt;
  return join(mount->source, *relative_to(inside, mount->target));
}

Result<void> check_mount_points(const HostTree& tree, const std::vector<Mount>& files, const std::vector<Mount>& all) {
  for (const Mount& mount : files) {
    const Mount* around = nullptr;
    for (const Mount& other : all) {
      if (other.target == mount.target || !is_at_or_below(mount.target, other.target)) continue;
      if (around == nullptr || other.target.size() > around->target.size()) around = &other;
    }
    if (around == nullptr || around->kind == MountKind::scratch || around->kind == MountKind::directory) continue;
    const std::string below = *relative_to(mount.target, around->target);
    const auto refuse_nesting = [&](std::string_view why, std::string_view hint) {
      return std::unexpected(Error(ErrorKind::invalid_input,
                                   fmt::format("{} can't stand inside {}: {}", mount.target, around->target, why))
                                 .hint(hint));
    };
    if (around->kind == MountKind::staging)
      return refuse_nesting("that is an empty write-only directory", "choose another `at`");
    if (around->source.empty()) return refuse_nesting("that is a file", "choose another `at`");
    const std::string expected = join(around->source, below);
    const auto point = tree.locate(expected);
    const auto source = tree.locate(mount.source);
    const bool fits = point && source && point->path == expected && point->is_directory() == source->is_directory();
    if (!fits) {
      return refuse_nesting(fmt::format("{} is not there, and Stockade makes nothing in your trees", expected),
                            "create it outside first, or choose another `at`");
    }
    if (is_below_a_hidden(*around, below)) return refuse_nesting("`hide` covers that place", "choose another `at`");
  }
  return {};
}

}  // namespace stockade::sandbox
