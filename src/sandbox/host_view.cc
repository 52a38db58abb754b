#include "sandbox/host_view.h"

#include <fmt/format.h>

#include <array>

#include "sandbox/install_roots.h"

namespace stockade::sandbox {
namespace {

using namespace std::string_view_literals;

constexpr std::array kRootNames = {"bin"sv, "sbin"sv, "lib"sv, "lib32"sv, "lib64"sv, "libx32"sv};

bool is_account_name(std::string_view name) {
  if (name.empty() || name.size() > 32) return false;
  for (const char c : name) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!word && std::string_view("_-.").find(c) == std::string_view::npos) return false;
  }
  return name != "root" && name != "nobody" && name != "tty" && name != "nogroup";
}

}  // namespace

Inside choose_inside(const Surroundings& surroundings, const policy::Sandbox& sandbox, const std::string& hostname) {
  Inside inside;
  inside.uid = sandbox.uid.value_or(surroundings.is_root() ? 1000 : surroundings.uid);
  inside.gid = sandbox.gid.value_or(surroundings.is_root() ? 1000 : surroundings.gid);
  inside.user = inside.uid == 0 ? "root" : is_account_name(surroundings.user) ? surroundings.user : "agent";
  inside.group = inside.gid == 0 ? "root" : is_account_name(surroundings.group) ? surroundings.group : "agent";
  inside.home = surroundings.home;
  inside.hostname = hostname;
  const bool shell_is_there = is_system_path(surroundings.shell) &&
                              surroundings.shell.find("nologin") == std::string::npos &&
                              !surroundings.shell.ends_with("/false");
  inside.shell = shell_is_there ? surroundings.shell : "/bin/sh";
  return inside;
}

void add_root_links(const HostTree& tree, std::vector<Mount>& mounts) {
  for (const std::string_view name : kRootNames) {
    std::string path = join("/", name);
    auto target = tree.read_link(path);
    if (target)
      mounts.push_back({.kind = MountKind::symlink, .target = std::move(path), .content = std::move(*target)});
  }
}

void add_system_trees(const HostTree& tree, std::vector<Mount>& mounts) {
  if (tree.status("/usr")) mounts.push_back({.kind = MountKind::bind, .source = "/usr", .target = "/usr"});
  for (const std::string_view name : kRootNames) {
    std::string path = join("/", name);
    if (auto target = tree.read_link(path)) {
      mounts.push_back({.kind = MountKind::symlink, .target = std::move(path), .content = std::move(*target)});
    } else if (const auto status = tree.link_status(path); status && S_ISDIR(status->st_mode)) {
      mounts.push_back({.kind = MountKind::bind, .source = path, .target = path});
    }
  }
}

void add_scratch_places(const Inside& inside, std::vector<Mount>& mounts) {
  mounts.push_back({.kind = MountKind::scratch, .target = "/tmp", .mode = 01777});
  mounts.push_back({.kind = MountKind::symlink, .target = "/var/tmp", .content = "/tmp"});
  mounts.push_back({.kind = MountKind::symlink, .target = "/var/run", .content = "/run"});
  mounts.push_back({.kind = MountKind::scratch, .target = fmt::format("/run/user/{}", inside.uid), .mode = 0700});
  if (inside.home != "/tmp") mounts.push_back({.kind = MountKind::scratch, .target = inside.home, .mode = 0750});
}

std::string why_not_a_target(std::string_view target) {
  for (const std::string_view place :
       {"/proc"sv, "/sys"sv, "/dev"sv, "/usr"sv, "/bin"sv, "/sbin"sv, "/lib"sv, "/lib32"sv, "/lib64"sv, "/libx32"sv}) {
    if (is_at_or_below(target, place)) return fmt::format("{} belongs to the system inside", place);
  }
  if (target == "/") return "it is the whole of what the agent sees";
  if (target == "/etc" || is_made_etc_file(target)) return "Stockade makes this part of /etc";
  if (target == "/run" || target == "/run/user" || target == "/var" || target == "/var/tmp" || target == "/var/run") {
    return "Stockade makes this directory";
  }
  return {};
}

}  // namespace stockade::sandbox
