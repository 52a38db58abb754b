#include "supervisor/attach_target.h"

#include <linux/capability.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "supervisor/attach_container.h"
#include "supervisor/network_members.h"

namespace stockade::supervisor {

namespace {

Result<Fd> hold_process(pid_t pid) {
  Fd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (process) return process;
  if (errno == ESRCH || errno == EINVAL) return fail(ErrorKind::invalid_input, "there is no process {}", pid);
  return fail_errno("hold on to process {}", pid);
}

Result<Fd> open_network_of(pid_t pid) {
  auto network = open_at(AT_FDCWD, fmt::format("/proc/{}/ns/net", pid), O_RDONLY);
  if (network) return network;
  return std::unexpected(std::move(network)
                             .error()
                             .context(fmt::format("look into process {}", pid))
                             .hint("it must be yours; for others, run this as root"));
}

Result<void> require_network_namespace(int fd, const std::string& path) {
  if (::ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET) return {};
  return std::unexpected(Error(ErrorKind::invalid_input, fmt::format("{} is no network namespace", path))
                             .hint("--netns takes a file like /run/netns/NAME or /proc/PID/ns/net"));
}

// The network that the dialer would go out by can't be behind itself; and the machine's own is where kernel threads
// are, which is not always where the first process is.
Result<void> refuse_own_network(const NamespaceId& network) {
  std::vector<const char*> places = {"/proc/self/ns/net", "/proc/1/ns/net"};
  if (process_name(2) == "kthreadd") places.push_back("/proc/2/ns/net");
  for (const char* path : places) {
    const auto own = namespace_id(path);
    if (own && *own == network)
      return std::unexpected(
          Error(ErrorKind::denied, "the target uses the host's own network, and so does everything else here")
              .hint("give it a network namespace of its own (a container without --network host, ip netns exec, "
                    "unshare -n), or start it with stockade run"));
  }
  return {};
}

// Root has privileges over every network below its user namespace; a person over those of user namespaces that they
// made, once inside.
Result<void> find_way_in(AttachTarget& target) {
  Fd owner_namespace(::ioctl(target.network.get(), NS_GET_USERNS));
  if (!owner_namespace) {
    if (errno != EPERM) return fail_errno("ask who owns the target's network");
    return std::unexpected(Error(ErrorKind::denied, "the target's network belongs to a user namespace above this one")
                               .hint("run this where the network was made, as root"));
  }
  target.owner = std::move(owner_namespace);
  const auto own = credentials_of("/proc/self");
  if (own && (own->effective & capability_bit(CAP_SYS_ADMIN)) != 0) return {};
  uid_t owner = 0;
  STOCKADE_ASSIGN(const NamespaceId theirs, namespace_id(target.owner.get()));
  STOCKADE_ASSIGN(const NamespaceId ours, namespace_id("/proc/self/ns/user"));
  if (theirs != ours && ::ioctl(target.owner.get(), NS_GET_OWNER_UID, &owner) == 0 && owner == ::geteuid()) {
    target.enter_owner = true;
    return {};
  }
  return std::unexpected(Error(ErrorKind::denied, "the target's network is not yours")
                             .hint("run this as root; without, only networks of user namespaces that you made "
                                   "(rootless containers, unshare -rn) can be attached to"));
}

Result<AttachTarget> find_by_pid(pid_t pid) {
  AttachTarget target;
  STOCKADE_ASSIGN(target.process, hold_process(pid));
  STOCKADE_ASSIGN(target.network, open_network_of(pid));
  target.pid = pid;
  target.words = fmt::format("process {} ({})", pid, process_name(pid));
  return target;
}

Result<AttachTarget> find_by_container(const std::string& name) {
  STOCKADE_ASSIGN(const ContainerProcess container, find_container(name));
  STOCKADE_ASSIGN(AttachTarget target, find_by_pid(container.pid));
  // Between the record and the pidfd the number may have been given anew.
  if (process_start(container.pid) != container.start)
    return fail(ErrorKind::invalid_input, "container {} has ended", name);
  target.words = fmt::format("container {} ({}, process {})", name, container.engine, container.pid);
  return target;
}

Result<AttachTarget> find_by_path(const std::string& path) {
  AttachTarget target;
  STOCKADE_ASSIGN(target.network, open_at(AT_FDCWD, path, O_RDONLY | O_NONBLOCK));
  STOCKADE_TRY(require_network_namespace(target.network.get(), path));
  target.words = "network namespace " + path;
  return target;
}

Result<AttachTarget> find_by(const AttachRequest& request) {
  if (request.pid) return find_by_pid(*request.pid);
  if (!request.container.empty()) return find_by_container(request.container);
  return find_by_path(request.netns);
}

}  // namespace

Result<NamespaceId> namespace_id(int fd) {
  struct stat status;
  if (::fstat(fd, &status) < 0) return fail_errno("look at a namespace");
  return NamespaceId{status.st_dev, status.st_ino};
}

Result<NamespaceId> namespace_id(const std::string& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) < 0) return fail_errno("look at {}", path);
  return NamespaceId{status.st_dev, status.st_ino};
}

Result<AttachTarget> find_target(const AttachRequest& request) {
  STOCKADE_ASSIGN(AttachTarget target, find_by(request));
  STOCKADE_ASSIGN(target.network_id, namespace_id(target.network.get()));
  STOCKADE_TRY(refuse_own_network(target.network_id));
  STOCKADE_TRY(find_way_in(target));
  return target;
}

}  // namespace stockade::supervisor
