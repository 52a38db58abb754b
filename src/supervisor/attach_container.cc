#include "supervisor/attach_container.h"

#include <dirent.h>

#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "base/fd.h"
#include "supervisor/network_members.h"

namespace stockade::supervisor {

using nlohmann::json;

namespace {

constexpr size_t kFileLimit = 16 << 20;
constexpr size_t kShortestPrefix = 4;  // of an id

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::vector<std::string> names_in(const std::string& path) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
  while (const dirent* entry = directory ? ::readdir(directory.get()) : nullptr)
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  return names;
}

// Absent: no such file, or nothing that an engine wrote.
std::optional<json> read_json(const std::string& path) {
  const auto text = read_file(path, kFileLimit);
  if (!text) return std::nullopt;
  auto parsed = json::parse(*text, nullptr, false);
  return parsed.is_discarded() ? std::nullopt : std::optional(std::move(parsed));
}

// A value at `path`, if it has that type.
template <typename T>
std::optional<T> at(const json& document, const char* key) {
  if (!document.is_object()) return std::nullopt;
  const auto found = document.find(key);
  if (found == document.end()) return std::nullopt;
  if constexpr (std::is_same_v<T, std::string>) {
    if (!found->is_string()) return std::nullopt;
  } else {
    if (!found->is_number_integer()) return std::nullopt;
  }
  return found->get<T>();
}

struct Runtime {
  const char* name;
  const char* file;
  const char* pid;
  const char* start;
};
constexpr Runtime kRunc = {"runc", "state.json", "init_process_pid", "init_process_start"};
constexpr Runtime kCrun = {"crun", "status", "pid", "process-start-time"};

struct StateDirectory {
  std::string path;
  const Runtime& runtime;
};

std::vector<StateDirectory> state_directories() {
  std::vector<StateDirectory> all = {{"/run/runc", kRunc},
                                     {"/run/docker/runtime-runc/moby", kRunc},
                                     {"/run/containerd/runc/default", kRunc},
                                     {"/run/containerd/runc/k8s.io", kRunc},
                                     {"/run/crun", kCrun}};
  if (const std::string own = variable("XDG_RUNTIME_DIR"); !own.empty()) {
    all.push_back({own + "/runc", kRunc});
    all.push_back({own + "/crun", kCrun});
    all.push_back({own + "/docker/runtime-runc/moby", kRunc});
  }
  return all;
}

std::set<std::string> docker_ids(const std::string& name) {
  std::set<std::string> ids;
  for (const std::string& root : {std::string("/var/lib/docker"), variable("HOME") + "/.local/share/docker"})
    for (const std::string& id : names_in(root + "/containers")) {
      const auto config = read_json(root + "/containers/" + id + "/config.v2.json");
      if (config && at<std::string>(*config, "Name") == "/" + name) ids.insert(id);
    }
  return ids;
}

std::set<std::string> podman_ids(const std::string& name) {
  std::set<std::string> ids;
  for (const std::string& root :
       {std::string("/var/lib/containers/storage"), variable("HOME") + "/.local/share/containers/storage"})
    for (const std::string& driver : names_in(root)) {
      if (!driver.ends_with("-containers")) continue;
      const auto list = read_json(root + "/" + driver + "/containers.json");
      if (!list || !list->is_array()) continue;
      for (const json& container : *list) {
        const auto id = at<std::string>(container, "id");
        const auto names = container.is_object() ? container.find("names") : container.end();
        if (!id || names == container.end() || !names->is_array()) continue;
        for (const json& known : *names)
          if (known.is_string() && known.get<std::string>() == name) ids.insert(*id);
      }
    }
  return ids;
}

bool is_meant(const std::string& id, const std::string& wanted, const std::set<std::string>& ids) {
  return id == wanted || ids.contains(id) || (wanted.size() >= kShortestPrefix && id.starts_with(wanted));
}

}  // namespace

Result<ContainerProcess> find_container(const std::string& name_or_id) {
  std::set<std::string> ids = docker_ids(name_or_id);
  ids.merge(podman_ids(name_or_id));
  std::vector<ContainerProcess> exact, other;
  for (const StateDirectory& directory : state_directories())
    for (const std::string& id : names_in(directory.path)) {
      if (!is_meant(id, name_or_id, ids)) continue;
      const auto state = read_json(directory.path + "/" + id + "/" + directory.runtime.file);
      const auto pid = state ? at<pid_t>(*state, directory.runtime.pid) : std::nullopt;
      const auto start = state ? at<uint64_t>(*state, directory.runtime.start) : std::nullopt;
      if (!pid || !start || *pid <= 0 || process_start(*pid) != *start) continue;
      (id == name_or_id ? exact : other).push_back({*pid, *start, directory.runtime.name});
    }
  const auto& found = exact.empty() ? other : exact;
  if (found.size() == 1) return found.front();
  if (!found.empty())
    return std::unexpected(
        Error(ErrorKind::invalid_input, fmt::format("{} running containers are called {}", found.size(), name_or_id))
            .hint("give the whole id, or the process with --pid"));
  return std::unexpected(
      Error(ErrorKind::invalid_input, fmt::format("no running container is called {}", name_or_id))
          .hint(
              "Docker's, Podman's, runc's and crun's are looked for; for another engine give its process with --pid"));
}

}  // namespace stockade::supervisor
