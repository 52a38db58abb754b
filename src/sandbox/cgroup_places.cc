// Finding the cgroup trees: a unified one (v2), a hybrid (v1 with a v2 tree beside it), or v1 alone; and inside the
// v2 tree the nearest directory where we may make a leaf with controllers. A cgroup that holds processes can't hand
// controllers to children (cgroup-v2.rst, "no internal processes"), so that is usually the parent of our own.
#include <unistd.h>

#include "sandbox/cgroup_v2.h"

namespace stockade::sandbox {

namespace {

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }
bool is_writable(const std::string& path) { return ::access(path.c_str(), W_OK) == 0; }

// A container sees its own cgroup as the mount's root, under the host's name for it.
std::string existing_or_root(const std::string& mount, std::string_view path) {
  std::string full = path == "/" ? mount : mount + std::string(path);
  return path == "/" || exists(full) ? full : mount;
}

bool has_controller(std::string_view list, std::string_view name) {
  while (!list.empty() && list.back() == '\n') list.remove_suffix(1);
  return ((" " + std::string(list) + " ").find(" " + std::string(name) + " ")) != std::string::npos;
}

}  // namespace

CgroupPlaces find_cgroups(const std::string& mount, std::string_view own) {
  CgroupPlaces places;
  if (exists(mount + "/cgroup.controllers"))
    places.v2_root = mount;
  else if (exists(mount + "/unified/cgroup.procs"))
    places.v2_root = mount + "/unified";
  while (!own.empty()) {
    const size_t end = own.find('\n');
    const std::string_view line = own.substr(0, end);
    own.remove_prefix(end == std::string_view::npos ? own.size() : end + 1);
    const size_t first = line.find(':');
    const size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const std::string_view path = line.substr(second + 1);
    if (controllers.empty()) {
      if (!places.v2_root.empty()) places.v2 = existing_or_root(places.v2_root, path);
      continue;
    }
    // "cpu,cpuacct" is mounted under that name, with a link for each.
    const std::string list = "," + std::string(controllers) + ",";
    const auto note = [&](const char* name, std::string& place) {
      const std::string tree = mount + "/" + name;
      if (list.find(fmt::format(",{},", name)) != std::string::npos && exists(tree))
        place = existing_or_root(tree, path);
    };
    note("memory", places.v1_memory);
    note("cpu", places.v1_cpu);
    note("pids", places.v1_pids);
    note("freezer", places.v1_freezer);
  }
  return places;
}

CgroupPlaces find_own_cgroups() {
  auto own = read_file("/proc/self/cgroup", 64U << 10);
  return own ? find_cgroups("/sys/fs/cgroup", *own) : CgroupPlaces{};
}

bool is_writable_cgroup(const std::string& directory) {
  return !directory.empty() && is_writable(directory) && is_writable(directory + "/cgroup.procs");
}

std::optional<V2Parent> find_v2_parent(const CgroupPlaces& places) {
  std::optional<V2Parent> plain;
  std::string directory = places.v2;
  // To be born there, a process needs write access to cgroup.procs of the common ancestor, too: that is the parent.
  while (directory.size() >= places.v2_root.size() && !directory.empty()) {
    if (is_writable_cgroup(directory)) {
      auto controllers = read_file(directory + "/cgroup.subtree_control", 4096);
      V2Parent found{directory, controllers && has_controller(*controllers, "memory"),
                     controllers && has_controller(*controllers, "cpu"),
                     controllers && has_controller(*controllers, "pids")};
      if (found.memory && found.pids) return found;
      if (!plain) plain = found;
    }
    if (directory.size() == places.v2_root.size()) break;
    directory.resize(directory.rfind('/'));
  }
  return plain;
}

LimitSupport probe_limit_support(const CgroupPlaces& places) {
  const auto v2 = find_v2_parent(places);
  const auto choose = [](bool v2_has, const std::string& v1, const char* name) -> LimitSupport::Support {
    if (v2_has) return {Strength::hard, fmt::format("cgroup v2 {}", name)};
    if (is_writable_cgroup(v1)) return {Strength::hard, fmt::format("cgroup v1 {}", name)};
    return {Strength::polled, "supervisor"};
  };
  LimitSupport support;
  support.memory = choose(v2 && v2->memory, places.v1_memory, "memory");
  support.cpus = choose(v2 && v2->cpus, places.v1_cpu, "cpu");
  // The agent's kernel uid is its own (root), or counts in its own user namespace: the kernel holds it without a
  // cgroup.
  support.pids = {Strength::hard, "RLIMIT_NPROC of the user namespace"};
  return support;
}

ControlSupport probe_control_support(const CgroupPlaces& places) {
  // cgroup.kill came with 5.14, cgroup.freeze with 5.2; what Landlock must have is 5.19.
  const bool leaf = find_v2_parent(places).has_value();
  return {leaf, leaf || is_writable_cgroup(places.v1_freezer)};
}

LimitSupport probe_limit_support() { return probe_limit_support(find_own_cgroups()); }

}  // namespace stockade::sandbox
