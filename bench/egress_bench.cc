// Wall 3 alone, for measuring: the real inspector and dialer with the real log, for whatever runs in an existing
// network namespace (which gets the sandbox's routes and rules). Says "ready" and the workers' pids on stdout, and
// serves until it is killed. What `stockade run` adds around it (sandbox, control socket) is not here.
//
//   egress_bench CLIENT_NETNS HOST PORT RESOLVER STATE_DIRECTORY
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "egress/egress_link.h"
#include "event/log.h"
#include "loop/loop.h"
#include "net/redirect_rules.h"
#include "net/transparent.h"

using namespace stockade;

namespace {

template <typename T>
T need(Result<T> result, const char* what) {
  if (!result) {
    std::fprintf(stderr, "egress_bench: %s: %s\n", what, result.error().render().c_str());
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

class LoggingAuthority final : public egress::Authority {
 public:
  LoggingAuthority(event::AuditLog log, loop::Loop& loop) : log_(std::move(log)), loop_(loop) {}
  Result<uint64_t> record(event::Event event) override {
    auto recorded = log_.record(std::move(event));
    if (!recorded) return std::unexpected(recorded.error());
    return recorded->seq;
  }
  Result<uint64_t> ask(event::Event, egress::AskScope, egress::OnAnswer) override {
    return fail(ErrorKind::internal, "the benchmark's policy asks nobody");
  }
  egress::AdmissionVerdict admit(const egress::FlowRequest&) override { return {}; }
  void traffic(const egress::Traffic&) override {}
  void worker_failed(std::string_view worker, std::string reason) override {
    std::fprintf(stderr, "egress_bench: %.*s: %s\n", static_cast<int>(worker.size()), worker.data(), reason.c_str());
    loop_.stop();
  }

 private:
  event::AuditLog log_;
  loop::Loop& loop_;
};

policy::Policy policy_for(const std::string& host, uint16_t port, const std::string& resolver) {
  policy::NetworkRule rule;
  rule.host = host;
  rule.ports = {{port, port}};
  rule.protocol = policy::Protocol::tcp;
  rule.tls = policy::TlsMode::passthrough;
  policy::Policy policy;
  policy.network.present = true;
  policy.network.allow = {rule};
  policy.network.resolver = Endpoint::parse(resolver);
  return policy;
}

net::TransparentListeners listeners_in(const char* netns) {
  const int own = ::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  const int other = ::open(netns, O_RDONLY | O_CLOEXEC);
  if (own < 0 || other < 0 || ::setns(other, CLONE_NEWNET) != 0) {
    std::perror("egress_bench: enter the client's namespace");
    std::exit(1);
  }
  need(net::route_everything_to_loopback(), "routes");
  need(net::install_redirect_rules(), "rules");
  auto listeners = need(net::open_transparent_listeners(false), "listeners");
  if (::setns(own, CLONE_NEWNET) != 0) std::exit(1);
  ::close(own);
  ::close(other);
  return listeners;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fputs("egress_bench CLIENT_NETNS HOST PORT RESOLVER STATE_DIRECTORY\n", stderr);
    return 2;
  }
  const policy::Policy policy = policy_for(argv[2], static_cast<uint16_t>(std::atoi(argv[3])), argv[4]);
  const std::string state = argv[5];
  const std::string run = state + "/bench";
  ::mkdir(run.c_str(), 0700);
  const SystemClock clock;
  auto link = need(egress::EgressLink::start(policy, {egress::run_inspector, egress::run_sealer}), "workers");
  auto loop = need(loop::Loop::create(clock), "loop");
  auto log = need(
      event::AuditLog::start({.user_directory = state, .run_directory = run, .run = "bench", .clock = &clock}), "log");
  LoggingAuthority authority(std::move(log), *loop);
  need(link->attach(*loop, authority), "attach");
  link->pass_listeners(listeners_in(argv[1]));
  std::printf("ready");
  for (const pid_t pid : link->pids()) std::printf(" %d", pid);
  std::printf("\n");
  std::fflush(stdout);
  need(loop->run(), "loop");
  return 1;
}
