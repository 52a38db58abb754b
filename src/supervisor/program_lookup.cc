#include "supervisor/program_lookup.h"

#include <dirent.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <charconv>
#include <climits>
#include <memory>
#include <optional>

#include "base/fd.h"
#include "base/printable.h"
#include "net/socket_diag.h"

namespace stockade::supervisor {

namespace {

using Directory = std::unique_ptr<DIR, int (*)(DIR*)>;

constexpr size_t kProcessLimit = 65536;
constexpr int kLowDescriptors = 48;
constexpr size_t kAskedLength = 200;  // of a path, in an event

// The processes of the sandbox, host numbering: all descendants of init. /proc/PID/task/*/children (proc(5)) needs
// CONFIG_PROC_CHILDREN, which every distribution's kernel has.
std::optional<std::vector<pid_t>> processes_below(pid_t init) {
  std::vector<pid_t> found{init};
  for (size_t next = 0; next < found.size() && found.size() < kProcessLimit; ++next) {
    const std::string tasks = fmt::format("/proc/{}/task", found[next]);
    const Directory directory(::opendir(tasks.c_str()), ::closedir);
    if (!directory) continue;  // ended meanwhile
    while (const dirent* task = ::readdir(directory.get())) {
      if (task->d_name[0] == '.') continue;
      auto children = read_file(tasks + "/" + task->d_name + "/children", 1 << 20);
      if (!children) return std::nullopt;
      const char* at = children->data();
      const char* const end = at + children->size();
      for (pid_t pid; at < end;) {
        const auto [after, error] = std::from_chars(at, end, pid);
        if (error != std::errc()) break;
        found.push_back(pid);
        at = after + 1;
      }
    }
  }
  found.erase(found.begin());
  return found;
}

// The fourth field of /proc/PID/stat, after a name in parentheses that may hold anything. Unknown: the process itself.
pid_t parent_of(pid_t pid) {
  const auto stat = read_file(fmt::format("/proc/{}/stat", pid), 4096);
  const size_t name_end = stat ? stat->rfind(')') : std::string::npos;
  pid_t parent = pid;
  if (name_end != std::string::npos && name_end + 4 < stat->size())
    std::from_chars(stat->data() + name_end + 4, stat->data() + stat->size(), parent);
  return parent;
}

bool is_link_to(int directory, const char* name, std::string_view link) {
  char target[64];
  const ssize_t size = ::readlinkat(directory, name, target, sizeof(target));
  return size > 0 && link == std::string_view(target, static_cast<size_t>(size));
}

// False as well where the process can't be looked into. As many of the lowest numbers as `guesses` are asked for first:
// a process that holds it is found without listing all that it holds.
bool holds_socket(pid_t pid, const std::string& link, int guesses) {
  const Directory directory(::opendir(fmt::format("/proc/{}/fd", pid).c_str()), ::closedir);
  if (!directory) return false;
  const int fds = ::dirfd(directory.get());
  for (int number = 0; number < guesses; ++number) {
    char name[16] = {};
    std::to_chars(name, name + sizeof(name) - 1, number);
    if (is_link_to(fds, name, link)) return true;
  }
  while (const dirent* entry = ::readdir(directory.get())) {
    if (is_link_to(fds, entry->d_name, link)) return true;
  }
  return false;
}

std::optional<Executable> executable_of(pid_t pid) {
  struct stat found;
  if (::stat(fmt::format("/proc/{}/exe", pid).c_str(), &found) < 0) return std::nullopt;
  return Executable{found.st_dev, found.st_ino};
}

// As the sandbox's own mounts name it: what we see of a file of another mount namespace is its path there.
std::string target_of(const std::string& link) {
  char target[PATH_MAX];
  const ssize_t size = ::readlink(link.c_str(), target, sizeof(target));
  return size > 0 ? std::string(target, static_cast<size_t>(size)) : std::string();
}

Fd open_in(int root, const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  return Fd(static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof(how))));
}

bool leads_to(int root, const std::string& path, const Executable& executable) {
  const Fd file = open_in(root, path);
  struct stat status;
  return file && ::fstat(file.get(), &status) == 0 && Executable{status.st_dev, status.st_ino} == executable;
}

std::vector<std::string> candidates(const std::string& program, const std::string& path) {
  if (program.starts_with('/')) return {program};
  std::vector<std::string> paths;
  for (size_t start = 0; start <= path.size();) {
    const size_t end = std::min(path.find(':', start), path.size());
    if (end > start) paths.push_back(path.substr(start, end - start) + "/" + program);
    start = end + 1;
  }
  return paths;
}

}  // namespace

ProgramLookup::ProgramLookup(int socket_diag, pid_t agent, std::string path)
    : socket_diag_(socket_diag), agent_(agent), init_(parent_of(agent)), path_(std::move(path)) {}

std::string npm_package_of(std::string_view path) {
  constexpr std::string_view kModules = "/node_modules/";
  const size_t at = path.rfind(kModules);
  if (at == std::string_view::npos) return {};
  const size_t name = at + kModules.size();
  size_t end = path.find('/', name);
  if (end != std::string_view::npos && path[name] == '@') end = path.find('/', end + 1);
  return std::string(path.substr(0, end == std::string_view::npos ? 0 : end));
}

bool is_in_npm_package(std::string_view path, std::string_view package) {
  if (package.empty() || !path.starts_with(package)) return false;
  const std::string_view rest = path.substr(package.size());
  return rest.starts_with('/') || (rest.starts_with('-') && rest.find('/') != std::string_view::npos);
}

std::vector<NamedProgram> ProgramLookup::resolve(int root, const std::vector<std::string>& programs) const {
  std::vector<NamedProgram> found;
  for (const std::string& program : programs) {
    for (const std::string& path : candidates(program, path_)) {
      Fd file = open_in(root, path);
      struct stat status;
      if (!file || ::fstat(file.get(), &status) < 0 || !S_ISREG(status.st_mode)) continue;
      found.push_back({{status.st_dev, status.st_ino}, std::move(file)});
      break;
    }
  }
  return found;
}

bool ProgramLookup::brings(int root, const NamedProgram& named, const Executable& executable,
                           const std::string& path) const {
  const std::string package = npm_package_of(target_of(fmt::format("/proc/self/fd/{}", named.opened.get())));
  return is_in_npm_package(path, package) && leads_to(root, path, executable);
}

Result<bool> ProgramLookup::is_made_by(const Endpoint& local, const Endpoint& remote,
                                       const std::vector<std::string>& programs) {
  asked_.clear();
  STOCKADE_ASSIGN(auto owner, net::find_inet_socket(socket_diag_, true, local, remote));
  if (!owner || owner->inode == 0) return false;
  const std::string link = fmt::format("socket:[{}]", owner->inode);
  auto root = open_at(AT_FDCWD, fmt::format("/proc/{}/root", agent_), O_PATH | O_DIRECTORY);
  if (!root) return false;
  const std::vector<NamedProgram> allowed = resolve(root->get(), programs);
  const auto is_allowed_holder = [&](pid_t pid, int guesses) {
    if (!holds_socket(pid, link, guesses)) return false;
    const auto executable = executable_of(pid);
    if (!executable) return false;
    if (std::ranges::find(allowed, *executable, &NamedProgram::file) != allowed.end()) return true;
    const std::string path = target_of(fmt::format("/proc/{}/exe", pid));
    if (asked_.empty()) asked_ = escape_for_terminal(std::string_view(path).substr(0, kAskedLength));
    return std::ranges::any_of(
        allowed, [&](const NamedProgram& named) { return brings(root->get(), named, *executable, path); });
  };
  // The last one that connected is likely the next. That it holds a socket of the sandbox's network namespace is what
  // makes it a process of the sandbox, even if its number was given anew.
  if (last_ != 0 && is_allowed_holder(last_, kLowDescriptors)) return true;
  auto processes = processes_below(init_);
  if (!processes) return fail(ErrorKind::unavailable, "the sandbox's processes can't be listed");
  for (const pid_t pid : *processes) {
    if (!is_allowed_holder(pid, 0)) continue;
    last_ = pid;
    return true;
  }
  return false;
}

}  // namespace stockade::supervisor
