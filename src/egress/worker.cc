#include "egress/worker.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <set>
#include <vector>

#include "base/confine.h"
#include "filters/dialer.h"
#include "filters/inspector.h"
#include "filters/sealer.h"

namespace stockade::egress {

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kSilenced = 2;  // what a sanitizer has to say goes to stderr
#else
constexpr int kSilenced = 3;
#endif

void wipe_environment() {
  for (char** entry = environ; entry && *entry; ++entry) ::explicit_bzero(*entry, ::strlen(*entry));
  if (environ) environ[0] = nullptr;
}

void reset_signals() {
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  // The terminal's signals are for the agent; a worker ends when its supervisor does.
  for (const int number : {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP, SIGTTIN, SIGTTOU, SIGPIPE, SIGUSR1, SIGUSR2})
    ::signal(number, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

Result<void> silence_stdio() {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return fail_errno("open /dev/null");
  for (int fd = 0; fd < kSilenced; ++fd)
    if (::dup2(null, fd) < 0) return fail_errno("silence a worker");
  if (null > 2) ::close(null);
  return {};
}

}  // namespace

Result<void> become_worker(std::initializer_list<int> keep) {
  close_all_except(keep);
  reset_signals();
  wipe_environment();
  return silence_stdio();
}

size_t raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) < 0) return 1024;
  if (limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) < 0) ::getrlimit(RLIMIT_NOFILE, &limit);
  }
  return limit.rlim_cur == RLIM_INFINITY ? size_t{1} << 20 : static_cast<size_t>(limit.rlim_cur);
}

namespace {

constexpr size_t kListedPorts = 256;  // beyond, the ports are the dialer's own check alone
constexpr uint64_t kDataLimit = 256 << 20;

std::optional<std::vector<uint16_t>> connect_ports(const policy::Network& network) {
  std::set<uint16_t> ports = {network.resolver ? network.resolver->port : uint16_t{53}};
  for (const policy::NetworkRule& rule : network.allow) {
    for (const policy::PortRange& range : rule.ports) {
      for (uint32_t port = range.first; port <= range.last; ++port) {
        ports.insert(static_cast<uint16_t>(port));
        if (ports.size() > kListedPorts) return std::nullopt;
      }
    }
  }
  return std::vector<uint16_t>(ports.begin(), ports.end());
}

}  // namespace

Result<void> confine_egress_worker(WorkerKind kind, pid_t parent, const policy::Network& network) {
  Confinement confinement;
  confinement.parent = parent;
  confinement.data_limit = kDataLimit;
  if (kind == WorkerKind::inspector) {
    confinement.name = "inspector";
    confinement.filter = filters::kInspectorFilter;
  } else if (kind == WorkerKind::sealer) {
    confinement.name = "sealer";
    confinement.filter = filters::kSealerFilter;
  } else {
    confinement.name = "dialer";
    confinement.filter = filters::kDialerFilter;
    confinement.connect_ports = connect_ports(network);
  }
  return confine_worker(confinement);
}

}  // namespace stockade::egress
