// What of a target leads elsewhere than through its network: descriptors that it holds already, sockets of others in
// its network namespace, memory and namespaces that it shares. What would be a second way out is a reason to refuse.
#include <dirent.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <set>

#include "base/printable.h"
#include "net/socket_diag.h"
#include "supervisor/attach_survey.h"

namespace stockade::supervisor {

namespace {

constexpr size_t kDescriptorLimit = 65536;  // of all members together
constexpr size_t kMapsLimit = 8 << 20;
constexpr size_t kEntryLimit = 5000;              // looked at for socket files
constexpr ino_t kFirstPidNamespace = 0xEFFFFFFC;  // PROC_PID_INIT_INO
constexpr size_t kReportLimit = 50;               // of one kind

using Directory = std::unique_ptr<DIR, int (*)(DIR*)>;

std::string link_at(const std::string& path) {
  char target[4096];
  const ssize_t size = ::readlink(path.c_str(), target, sizeof(target));
  return size > 0 ? std::string(target, static_cast<size_t>(size)) : std::string();
}

std::string whose(pid_t pid) { return fmt::format("process {} ({})", pid, process_name(pid)); }

// Adds to one list, without repeating, and no more than a person would read.
class Report {
 public:
  explicit Report(std::vector<std::string>& list) : list_(list) {}
  void add(std::string text) {
    if (!seen_.insert(text).second) return;
    if (seen_.size() <= kReportLimit)
      list_.push_back(std::move(text));
    else
      ++more_;
  }
  ~Report() {
    if (more_ > 0) list_.push_back(fmt::format("and {} more of this kind", more_));
  }
  Report(const Report&) = delete;
  Report& operator=(const Report&) = delete;

 private:
  std::vector<std::string>& list_;
  std::set<std::string> seen_;
  size_t more_ = 0;
};

// ---- descriptors ------------------------------------------------------------------------------------------------

class DescriptorSurvey {
 public:
  DescriptorSurvey(const AttachTarget& target, const SurveyOptions& options, AttachSurvey& survey)
      : target_(target),
        links_closable_(options.links_closable),
        sends_packets_(survey.sends_packets),
        refusals_(survey.refusals),
        uncovered_(survey.uncovered) {
    for (const Member& member : survey.members) inside_.insert(member.pid);
  }

  void look_at(pid_t pid) {
    const std::string fds = fmt::format("/proc/{}/fd", pid);
    const Directory directory(::opendir(fds.c_str()), ::closedir);
    if (!directory) {
      if (errno != ENOENT && errno != ESRCH) refusals_.add(whose(pid) + ": its descriptors can't be looked at");
      return;
    }
    const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    while (const dirent* entry = ::readdir(directory.get())) {
      if (entry->d_name[0] == '.') continue;
      if (++count_ > kDescriptorLimit) return refusals_.add("the target holds too many descriptors to look at all");
      judge(pid, process.get(), entry->d_name, link_at(fds + "/" + entry->d_name));
    }
  }

  const std::set<uint32_t>& sockets() const { return sockets_; }

 private:
  void judge(pid_t pid, int process, const char* number, const std::string& link) {
    if (link.starts_with("socket:[")) return judge_socket(pid, process, number, link);
    if (link == "/dev/net/tun" || link.starts_with("/dev/tap"))
      refusals_.add(fmt::format("{} holds a network device (descriptor {}, {})", whose(pid), number, link));
    else if (link.starts_with("net:["))
      uncovered_.add(fmt::format("{} holds a network namespace (descriptor {}, {})", whose(pid), number, link));
    else if (link == "anon_inode:[io_uring]")
      uncovered_.add(fmt::format("{} holds an io_uring, which may hold sockets (descriptor {})", whose(pid), number));
  }

  void judge_socket(pid_t pid, int process, const char* number, const std::string& link) {
    uint32_t inode = 0;
    std::from_chars(link.data() + 8, link.data() + link.size(), inode);
    sockets_.insert(inode);
    const int theirs = std::atoi(number);
    const Fd copy(static_cast<int>(::syscall(SYS_pidfd_getfd, process, theirs, 0)));
    if (!copy) {
      // Gone meanwhile, or another one by now; but what can't be looked at may be a way out.
      if (errno != EBADF && errno != ESRCH)
        refusals_.add(fmt::format("{}: its socket (descriptor {}) can't be looked at", whose(pid), number));
      return;
    }
    int family = 0;
    socklen_t size = sizeof(family);
    ::getsockopt(copy.get(), SOL_SOCKET, SO_DOMAIN, &family, &size);
    if (family == AF_UNIX) return judge_unix_socket(pid, copy.get(), number);
    if (family == AF_PACKET || family == AF_XDP) {
      if (!links_closable_)
        return refusals_.add(
            fmt::format("{} holds a packet socket, which sends past every rule (descriptor {})", whose(pid), number));
      sends_packets_ = true;
    }
    if (family == AF_VSOCK)
      return uncovered_.add(
          fmt::format("{} holds a vsock socket, which no network namespace holds (descriptor {})", whose(pid), number));
    if (family == AF_NETLINK) return;
    const Fd its_network(::ioctl(copy.get(), SIOCGSKNS));
    const auto its = its_network ? namespace_id(its_network.get()) : Result<NamespaceId>(NamespaceId{});
    if (its && *its == target_.network_id) return;
    refusals_.add(
        fmt::format("{} holds a socket of another network (descriptor {}): a second way out", whose(pid), number));
  }

  void judge_unix_socket(pid_t pid, int socket, const char* number) {
    ucred peer{};
    socklen_t size = sizeof(peer);
    sockaddr_storage address;
    socklen_t address_size = sizeof(address);
    if (::getpeername(socket, reinterpret_cast<sockaddr*>(&address), &address_size) < 0) return;  // not connected
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || inside_.contains(peer.pid)) return;
    uncovered_.add(fmt::format("{} is connected by a unix socket (descriptor {}) to {}", whose(pid), number,
                               peer.pid > 0 ? whose(peer.pid) : "somebody outside"));
  }

  const AttachTarget& target_;
  const bool links_closable_;
  bool& sends_packets_;
  Report refusals_;
  Report uncovered_;
  std::set<pid_t> inside_;
  std::set<uint32_t> sockets_;
  size_t count_ = 0;
};

// ---- what others have inside ---------------------------------------------------------------------------------------

// Sockets that wait for anybody's packets, by inode.
Result<std::map<uint32_t, net::LocalPort>> waiting_sockets(int diag) {
  STOCKADE_ASSIGN(const auto sockets, net::list_inet_sockets(diag));
  std::map<uint32_t, net::LocalPort> waiting;
  for (const net::InetSocket& socket : sockets)
    if (socket.inode != 0 && socket.local.port != 0 && socket.remote.port == 0)
      waiting.emplace(socket.inode, net::LocalPort{socket.protocol, socket.local.port});
  return waiting;
}

// A resolver that Docker opens in a container's network, for one: it answers inside, and lives outside. Those that were
// there before the members' descriptors were read and are there after, and are no member's.
void find_foreign_sockets(const std::map<uint32_t, net::LocalPort>& before,
                          const std::map<uint32_t, net::LocalPort>& after, const std::set<uint32_t>& own,
                          AttachSurvey& survey) {
  std::set<net::LocalPort> closed;
  for (const auto& [inode, port] : before)
    if (after.contains(inode) && !own.contains(inode)) closed.insert(port);
  survey.closed_ports.assign(closed.begin(), closed.end());
  Report uncovered(survey.uncovered);
  for (const net::LocalPort& port : closed)
    uncovered.add(fmt::format("somebody outside holds {} port {} inside: it is closed while attached",
                              port.protocol == IPPROTO_TCP ? "TCP" : "UDP", port.port));
}

// ---- what is shared ------------------------------------------------------------------------------------------------

bool shares(pid_t pid, const char* kind) {
  const auto its = namespace_id(fmt::format("/proc/{}/ns/{}", pid, kind));
  const auto ours = namespace_id(fmt::format("/proc/self/ns/{}", kind));
  return its && ours && *its == *ours;
}

void find_shared_namespaces(const Member& member, Report& uncovered) {
  if (shares(member.pid, "mnt"))
    uncovered.add(whose(member.pid) +
                  " shares the host's files: every unix socket among them (of container engines, D-Bus, resolvers, "
                  "agents) is in reach");
  if (shares(member.pid, "ipc"))
    uncovered.add(whose(member.pid) + " shares the host's IPC namespace: System V and POSIX memory and queues");
  if (shares(member.pid, "pid"))
    uncovered.add(whose(member.pid) +
                  " sees the host's processes: those of its own user may be in its hands (ptrace, signals)");
}

// "7f…-7f… rw-s 00000000 00:19 12 /dev/shm/name"
void find_shared_memory(const Member& member, Report& uncovered) {
  const auto maps = read_file(fmt::format("/proc/{}/maps", member.pid), kMapsLimit);
  if (!maps) return;
  for (size_t start = 0; start < maps->size();) {
    const size_t end = std::min(maps->find('\n', start), maps->size());
    const std::string_view line = std::string_view(*maps).substr(start, end - start);
    start = end + 1;
    const size_t mode = line.find(' ');
    const size_t path = line.find('/');
    if (mode == std::string_view::npos || path == std::string_view::npos || line.substr(mode + 2, 3) != "w-s") continue;
    const std::string_view file = line.substr(path);
    if (file.starts_with("/dev/zero") || file.starts_with("/anon_hugepage")) continue;
    uncovered.add(
        fmt::format("{} shares memory with whoever else maps {}", whose(member.pid), escape_for_terminal(file)));
  }
}

// Socket files that somebody else bound, where they usually lie and where one is mounted alone.
class SocketFiles {
 public:
  // `own`: those that were bound from inside.
  SocketFiles(const Member& member, const std::set<std::pair<uint64_t, uint32_t>>& own, Report& uncovered)
      : member_(member), own_(own), uncovered_(uncovered) {}

  void find() {
    const std::string root = fmt::format("/proc/{}/root", member_.pid);
    for (const char* place : {"/run", "/var/run", "/tmp"}) walk(root, place, 3);
    const auto mounts = read_file(fmt::format("/proc/{}/mountinfo", member_.pid), kMapsLimit);
    for (size_t start = 0; mounts && start < mounts->size();) {
      const size_t end = std::min(mounts->find('\n', start), mounts->size());
      look_at_mount(root, std::string_view(*mounts).substr(start, end - start));
      start = end + 1;
    }
  }

 private:
  // "36 35 98:0 /root /mount/point rw,noatime …"
  void look_at_mount(const std::string& root, std::string_view line) {
    size_t at = 0;
    for (int field = 0; field < 4 && at != std::string_view::npos; ++field)
      at = line.find(' ', at + (field > 0 ? 1 : 0));
    if (at == std::string_view::npos) return;
    const std::string point(line.substr(at + 1, line.find(' ', at + 1) - at - 1));
    look_at(root, point);
  }

  void look_at(const std::string& root, const std::string& path) {
    struct stat status;
    if (::lstat((root + path).c_str(), &status) < 0 || !S_ISSOCK(status.st_mode)) return;
    if (!own_.contains({status.st_dev, static_cast<uint32_t>(status.st_ino)}))
      uncovered_.add(
          fmt::format("the socket file {} is in reach of {}", escape_for_terminal(path), whose(member_.pid)));
  }

  void walk(const std::string& root, const std::string& path, int depth) {
    // Links inside are not followed: they would lead to our own files.
    const Fd opened(::open((root + path).c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    const Directory directory(opened ? ::fdopendir(::fcntl(opened.get(), F_DUPFD_CLOEXEC, 3)) : nullptr, ::closedir);
    while (const dirent* entry = directory ? ::readdir(directory.get()) : nullptr) {
      const std::string_view name = entry->d_name;
      if (name == "." || name == ".." || ++count_ > kEntryLimit) continue;
      const std::string next = fmt::format("{}/{}", path, name);
      if (entry->d_type == DT_SOCK || entry->d_type == DT_UNKNOWN) look_at(root, next);
      if (entry->d_type == DT_DIR && depth > 1) walk(root, next, depth - 1);
    }
  }

  const Member& member_;
  const std::set<std::pair<uint64_t, uint32_t>>& own_;
  Report& uncovered_;
  size_t count_ = 0;
};

Result<void> find_socket_files(int diag, const AttachSurvey& survey, Report& uncovered) {
  STOCKADE_ASSIGN(const auto bound, net::list_bound_unix_sockets(diag));
  std::set<std::pair<uint64_t, uint32_t>> own;
  for (const net::BoundUnixSocket& socket : bound) own.emplace(socket.device, socket.inode);
  std::set<NamespaceId> seen;
  for (const Member& member : survey.members) {
    const auto mounts = namespace_id(fmt::format("/proc/{}/ns/mnt", member.pid));
    // One report for the host's own, and one look at each other.
    if (!mounts || shares(member.pid, "mnt") || !seen.insert(*mounts).second) continue;
    SocketFiles(member, own, uncovered).find();
  }
  return {};
}

}  // namespace

Result<void> survey_channels(const AttachTarget& target, const SurveyOptions& options, AttachSurvey& survey) {
  STOCKADE_ASSIGN(const auto before, waiting_sockets(options.diag));
  std::set<uint32_t> own;
  {
    DescriptorSurvey descriptors(target, options, survey);
    for (const Member& member : survey.members) descriptors.look_at(member.pid);
    own = descriptors.sockets();
  }
  STOCKADE_ASSIGN(const auto after, waiting_sockets(options.diag));
  find_foreign_sockets(before, after, own, survey);
  std::vector<std::string> found;
  if (const auto ours = namespace_id("/proc/self/ns/pid"); !ours || ours->inode != kFirstPidNamespace)
    found.push_back("this runs in a pid namespace of its own (a container): members outside of it can't be seen");
  {
    Report uncovered(found);
    for (const Member& member : survey.members) {
      find_shared_namespaces(member, uncovered);
      find_shared_memory(member, uncovered);
    }
  }
  {
    Report uncovered(found);
    STOCKADE_TRY(find_socket_files(options.diag, survey, uncovered));
  }
  survey.uncovered.insert(survey.uncovered.end(), found.begin(), found.end());
  return {};
}

}  // namespace stockade::supervisor
