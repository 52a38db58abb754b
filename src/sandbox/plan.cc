#include "sandbox/plan.h"

#include <fmt/format.h>

#include <iterator>
#include <string_view>

namespace stockade::sandbox {
namespace {

std::string_view name_of(MountKind kind) {
  switch (kind) {
    case MountKind::bind:
      return "bind";
    case MountKind::overlay_read:
      return "read";
    case MountKind::staging:
      return "staging";
    case MountKind::trust:
      return "trust";
    case MountKind::scratch:
      return "scratch";
    case MountKind::content:
      return "file";
    case MountKind::symlink:
      return "link";
    case MountKind::directory:
      return "directory";
  }
  return "?";
}

std::string_view name_of(Strength strength) {
  switch (strength) {
    case Strength::hard:
      return "hard";
    case Strength::polled:
      return "polled";
    case Strength::refused:
      return "refused";
  }
  return "?";
}

// One line a value, whatever it holds: file names and variables may carry line breaks and control characters.
std::string quoted(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || byte == '\\') {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out;
}

void append_mount(std::string& out, const Mount& mount) {
  auto to = std::back_inserter(out);
  fmt::format_to(to, "mount {} {}", name_of(mount.kind), quoted(mount.target));
  if (!mount.source.empty()) fmt::format_to(to, " from {}", quoted(mount.source));
  if (mount.kind == MountKind::symlink) fmt::format_to(to, " to {}", quoted(mount.content));
  if (mount.kind == MountKind::content) fmt::format_to(to, " bytes {}", mount.content.size());
  if (mount.kind == MountKind::bind) out += mount.writable ? " writable" : " read-only";
  if (!mount.exec) out += " noexec";
  if (mount.persons_tree) out += " persons-tree";
  if (mount.optional) out += " optional";
  if (mount.mode != 0755) fmt::format_to(to, " mode {:04o}", mount.mode);
  out += '\n';
  for (const std::string& path : mount.hidden) fmt::format_to(to, "  hidden {}\n", quoted(path));
  for (const std::string& path : mount.read_only) fmt::format_to(to, "  read-only {}\n", quoted(path));
  for (const std::string& path : mount.added) fmt::format_to(to, "  added {}\n", quoted(path));
  for (const std::string& path : mount.sockets) fmt::format_to(to, "  socket {}\n", quoted(path));
}

void append_limit(std::string& out, std::string_view name, const std::optional<Limit>& limit) {
  if (!limit) return;
  fmt::format_to(std::back_inserter(out), "limit {} {} {} by {}\n", name, limit->value, name_of(limit->strength),
                 limit->by);
}

}  // namespace

std::string to_text(const SandboxPlan& plan) {
  std::string out;
  auto to = std::back_inserter(out);
  out += "command";
  for (const std::string& argument : plan.command) fmt::format_to(to, " [{}]", quoted(argument));
  fmt::format_to(to, "\nworkdir {}\nhostname {}\nuser {} group {} umask {:03o}\n", quoted(plan.workdir), plan.hostname,
                 plan.uid, plan.gid, plan.umask);
  for (const std::string& variable : plan.environment) fmt::format_to(to, "env {}\n", quoted(variable));
  for (const Mount& mount : plan.mounts) append_mount(out, mount);
  fmt::format_to(to, "proc {}\n", plan.minimal_proc ? "minimal" : "normal");
  fmt::format_to(to, "network {}\n",
                 !plan.network         ? "none"
                 : plan.explicit_proxy ? "redirected, and a proxy"
                                       : "redirected");
  if (plan.terminal) out += "terminal of its own\n";
  if (plan.program_list) out += "programs listed\n";
  if (plan.notify_sockets) out += "socket paths decided outside\n";
  append_limit(out, "memory", plan.limits.memory);
  append_limit(out, "cpus", plan.limits.cpus);
  append_limit(out, "pids", plan.limits.pids);
  append_limit(out, "disk", plan.limits.disk);
  append_limit(out, "inodes", plan.limits.inodes);
  append_limit(out, "open_files", plan.limits.open_files);
  append_limit(out, "file_size", plan.limits.file_size);
  fmt::format_to(to, "strictness {}\ngrace {} ms\n", plan.strictness == policy::Strictness::hard ? "hard" : "polled",
                 plan.grace.count());
  return out;
}

}  // namespace stockade::sandbox
