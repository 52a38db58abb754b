#include "egress/world_test.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <thread>

#include "base/message_socket.h"
#include "net/dns.h"
#include "net/redirect_rules.h"
#include "policy/decision.h"

namespace stockade::egress::world {

namespace {

Counters* shared_counters = nullptr;

[[noreturn]] void die(const char* what) {
  ::perror(what);
  ::_exit(99);
}

void write_text(const char* path, const std::string& text) {
  const Fd fd(::open(path, O_WRONLY | O_CLOEXEC));
  if (!fd || ::write(fd.get(), text.data(), text.size()) < 0) die(path);
}

void become(uid_t uid) {
  if (uid == 0) return;
  if (::setgid(uid) < 0 || ::setuid(uid) < 0) die("setuid");
  ::prctl(PR_SET_DUMPABLE, 1);
  if (::unshare(CLONE_NEWUSER) < 0) die("unshare user");
  write_text("/proc/self/setgroups", "deny");
  write_text("/proc/self/uid_map", fmt::format("0 {} 1", uid));
  write_text("/proc/self/gid_map", fmt::format("0 {} 1", uid));
}

void set_deadline(int socket, int seconds) {
  const timeval deadline{seconds, 0};
  ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline));
  ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof(deadline));
}

int bound_socket(const std::string& endpoint, int type) {
  const auto at = Endpoint::parse(endpoint);
  if (!at) die(endpoint.c_str());
  const int fd = ::socket(at->address.is_v4() ? AF_INET : AF_INET6, type | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  // A local route alone makes an IPv6 address no address to bind to.
  if (at->address.is_v6()) ::setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof(on));
  sockaddr_storage address;
  const socklen_t size = at->to_sockaddr(address);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), size) < 0) die(endpoint.c_str());
  return fd;
}

// Swaps the letters' case back and reads name and type of a query that our own resolver made.
std::string dns_reply(const std::string& query, std::map<std::string, std::vector<std::string>>& answers,
                      std::map<std::string, size_t>& asked) {
  const auto parsed = net::parse_dns_query(query);
  if (!parsed) return {};
  net::DnsReply reply;
  const auto found = answers.find(parsed->name);
  if (found == answers.end()) {
    reply.code = net::DnsCode::no_name;
  } else if (parsed->type == 1 || parsed->type == 28) {
    std::vector<IpAddress> family;
    for (const std::string& text : found->second)
      if (const auto address = IpAddress::parse(text); address && address->is_v4() == (parsed->type == 1))
        family.push_back(*address);
    size_t& turn = asked[parsed->name + (parsed->type == 1 ? "/4" : "/6")];
    if (!family.empty()) reply.addresses = {family[std::min(turn, family.size() - 1)]};
    ++turn;
  }
  reply.ttl = 1;
  return net::build_dns_reply(*parsed, reply, 1232);
}

class TestAuthority final : public Authority {
 public:
  TestAuthority(Script& script, loop::Loop& loop) : script_(script), loop_(loop) {}
  Result<uint64_t> record(event::Event event) override {
    if (event.decision == event::Decision::deny && ++folded[event.subject + event.reason] > 1) {
      ++repeated;
      return uint64_t{1};
    }
    if (event.decision == event::Decision::allow && event.kind == script_.ends_at) ended_ = true;
    events.push_back(std::move(event));
    return events.size();
  }
  bool ended() const override { return ended_; }
  Result<uint64_t> ask(event::Event event, AskScope, OnAnswer then) override {
    events.push_back(event);
    const uint64_t number = events.size();
    script_.person(event, std::move(then));
    return number;
  }
  AdmissionVerdict admit(const FlowRequest& request) override { return script_.admit(request); }
  void traffic(const Traffic& traffic) override {
    out += traffic.out;
    in += traffic.in;
  }
  void worker_failed(std::string_view worker, std::string reason) override {
    failure = std::string(worker) + ": " + reason;
    loop_.stop();
  }
  void drained() override { loop_.stop(); }
  void authority_made(std::string certificate) override {
    std::ranges::copy(certificate, shared_counters->authority);
    __atomic_store_n(&shared_counters->authority_size, static_cast<int>(certificate.size()), __ATOMIC_SEQ_CST);
  }

  std::vector<event::Event> events;
  std::map<std::string, uint64_t> folded;
  uint64_t repeated = 0, out = 0, in = 0;
  std::string failure;

 private:
  Script& script_;
  loop::Loop& loop_;
  bool ended_ = false;
};

// The agent's process: first the sandbox's network, whose listeners go out through `out`; then the agent's own code.
int agent_body(Script& script, int out) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (script.proxy_port == 0) {
    if (::unshare(CLONE_NEWNET) < 0) die("unshare net");
    if (auto routed = net::route_everything_to_loopback(); !routed) die(routed.error().message().c_str());
    if (auto rules = net::install_redirect_rules(); !rules) die(rules.error().message().c_str());
    auto listeners = net::open_transparent_listeners(false);
    if (!listeners) die(listeners.error().message().c_str());
    if (!send_message(out, "L", listeners->descriptors())) die("send listeners");
  }
  char go;
  if (::read(out, &go, 1) != 1) return 98;
  close_all_except({});
  return script.agent ? script.agent() : 0;
}

loop::Task<void> wait_for_agent(loop::Loop& loop, Pid& agent, EgressLink& link, std::optional<ExitStatus>& status) {
  auto watch = loop::AsyncFd::adopt(loop, Fd(::fcntl(agent.pidfd(), F_DUPFD_CLOEXEC, 3)));
  watch->exhausted_read();
  co_await watch->readable();
  status = agent.poll().value();
  link.drain();
}

int run_script(Script& script) {
  become(script.uid);
  if (::unshare(CLONE_NEWNET) < 0) die("unshare net");
  if (auto routed = net::route_everything_to_loopback(); !routed) die(routed.error().message().c_str());
  auto ready = make_pipe().value();
  Pid servers = fork_child([&] {
                  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
                  Servers book;
                  if (script.servers) script.servers(book);
                  ready.write.reset();
                  ::pause();
                  return 0;
                }).value();
  ready.write.reset();
  char none;
  (void)!::read(ready.read.get(), &none, 1);  // the servers listen

  auto link = EgressLink::start(script.policy, script.workers);
  if (!link) die(link.error().message().c_str());
  const SystemClock clock;
  auto loop = loop::Loop::create(clock).value();
  TestAuthority authority(script, *loop);
  EXPECT_TRUE((*link)->attach(*loop, authority));
  auto pair = make_socket_pair(SOCK_SEQPACKET).value();
  Pid agent = fork_child([&] { return agent_body(script, pair[1].get()); }).value();
  pair[1].reset();
  if (script.proxy_port == 0) {
    Message message;
    const auto got = receive_message(pair[0].get(), message);
    if (!got || *got != ReceiveState::message) die("no listeners");
    auto listeners = net::TransparentListeners::from_descriptors(std::move(message.fds));
    (*link)->pass_listeners(std::move(*listeners));
  } else {
    Fd listener(bound_socket(fmt::format("127.0.0.1:{}", script.proxy_port), SOCK_STREAM));
    ::listen(listener.get(), 128);
    (*link)->pass_proxy_listener(std::move(listener));
  }
  if (::write(pair[0].get(), "G", 1) != 1) die("release agent");
  std::optional<ExitStatus> status;
  loop->spawn(wait_for_agent(*loop, agent, **link, status));
  EXPECT_TRUE(loop->run());
  if (script.expect_failure) {
    EXPECT_NE(authority.failure, "");
  } else {
    EXPECT_EQ(authority.failure, "");
    EXPECT_TRUE(status.has_value());
    if (status) {
      EXPECT_EQ(status->code, 0) << (status->signalled ? "signal" : "exit status");
    }
  }
  if (script.check_total) {
    const auto refused =
        static_cast<uint64_t>(count_events(authority.events, "connect", event::Decision::deny)) + authority.repeated;
    EXPECT_EQ(refused, static_cast<uint64_t>(shared_counters->agent_connects));
  }
  if (script.check) script.check(authority.events, *shared_counters);
  if (testing::Test::HasFailure()) {
    for (const auto& event : authority.events)
      fmt::print(stderr, "  event {} {} {} — {} ({})\n", event.kind, event.subject, event::to_string(event.decision),
                 event.reason, event.where);
  }
  link->reset();
  loop->cancel_all();
  return testing::Test::HasFailure() ? 1 : 0;
}

}  // namespace

Counters& counters() { return *shared_counters; }

void note_received(std::string_view bytes) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  const size_t at = static_cast<size_t>(shared_counters->received_size);
  const size_t size = std::min(bytes.size(), sizeof(shared_counters->received) - at);
  std::ranges::copy(bytes.substr(0, size), shared_counters->received + at);
  shared_counters->received_size += static_cast<int>(size);
}

std::string run_authority() {
  for (int i = 0; i < 1000; ++i) {
    const int size = __atomic_load_n(&shared_counters->authority_size, __ATOMIC_SEQ_CST);
    if (size > 0) return {shared_counters->authority, static_cast<size_t>(size)};
    ::usleep(5000);
  }
  return {};
}

void Servers::tcp(const std::string& endpoint, Handler handler) {
  const int listener = bound_socket(endpoint, SOCK_STREAM);
  ::listen(listener, 1024);
  std::thread([listener, handler] {
    while (true) {
      const int client = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      if (client < 0) continue;
      __atomic_add_fetch(&shared_counters->connections, 1, __ATOMIC_SEQ_CST);
      std::thread([client, handler] {
        handler(client);
        ::close(client);
      }).detach();
    }
  }).detach();
}

void Servers::dns(const std::string& endpoint, std::map<std::string, std::vector<std::string>> answers) {
  const int socket = bound_socket(endpoint, SOCK_DGRAM);
  std::thread([socket, answers]() mutable {
    std::map<std::string, size_t> asked;
    while (true) {
      std::string query(4096, '\0');
      sockaddr_storage from;
      socklen_t size = sizeof(from);
      const ssize_t count =
          ::recvfrom(socket, query.data(), query.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
      if (count <= 0) continue;
      __atomic_add_fetch(&shared_counters->dns_queries, 1, __ATOMIC_SEQ_CST);
      const std::string reply = dns_reply(query.substr(0, static_cast<size_t>(count)), answers, asked);
      if (!reply.empty()) ::sendto(socket, reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
    }
  }).detach();
}

void play(Script script) {
  if (::getuid() != 0) GTEST_SKIP() << "needs root to make network namespaces for both kinds of user";
  shared_counters = static_cast<Counters*>(
      ::mmap(nullptr, sizeof(Counters), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  new (shared_counters) Counters();
  auto child = fork_child([&] {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    // A run that hangs ends here, and its children with it.
    ::alarm(60);
    return run_script(script);
  });
  ASSERT_TRUE(child);
  const auto status = child->wait();
  ASSERT_TRUE(status);
  EXPECT_FALSE(status->signalled) << "signal " << status->code;
  EXPECT_EQ(status->code, 0) << "uid " << script.uid;
  ::munmap(shared_counters, sizeof(Counters));
}

void play_as_both(const Script& script) {
  Script as_user = script;
  as_user.uid = 12345;
  play(script);
  play(as_user);
}

int connect_to(const std::string& endpoint) {
  const auto to = Endpoint::parse(endpoint);
  if (!to) return -1;
  const int fd = ::socket(to->address.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  set_deadline(fd, 15);
  sockaddr_storage address;
  const socklen_t size = to->to_sockaddr(address);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), size) < 0) {
    ::close(fd);
    return -1;
  }
  __atomic_add_fetch(&shared_counters->agent_connects, 1, __ATOMIC_SEQ_CST);
  return fd;
}

std::vector<std::string> look_up(const std::string& name, bool v6, bool tcp) {
  const auto query = net::build_dns_query(name, v6 ? net::DnsType::aaaa : net::DnsType::a, 77);
  if (!query) return {};
  std::string reply(4096, '\0');
  ssize_t count = -1;
  if (tcp) {
    const int fd = connect_to("8.8.8.8:53");
    if (fd < 0 || !send_all(fd, net::dns_tcp_frame(*query))) return {};
    count = ::recv(fd, reply.data(), reply.size(), 0);
    ::close(fd);
    if (count < 2) return {};
    reply.erase(0, 2);
    count -= 2;
  } else {
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    set_deadline(fd, 5);
    sockaddr_storage address;
    const socklen_t size = Endpoint::parse("8.8.8.8:53")->to_sockaddr(address);
    // Connected: only an answer from the address that was asked arrives.
    if (::connect(fd, reinterpret_cast<sockaddr*>(&address), size) < 0 ||
        ::send(fd, query->data(), query->size(), 0) < 0)
      return {};
    count = ::recv(fd, reply.data(), reply.size(), 0);
    ::close(fd);
  }
  if (count < 0) return {};
  const auto response = net::parse_dns_response(std::string_view(reply).substr(0, static_cast<size_t>(count)), *query);
  if (!response) return {};
  std::vector<std::string> texts;
  if (response->code == net::DnsCode::server_failure) texts.push_back("SERVFAIL");
  for (const IpAddress& address : response->addresses) texts.push_back(address.to_string());
  return texts;
}

int connect_to_name(const std::string& name, int port, bool v6) {
  const auto addresses = look_up(name, v6);
  if (addresses.empty()) {
    errno = ENOENT;
    return -1;
  }
  return connect_to(fmt::format(fmt::runtime(v6 ? "[{}]:{}" : "{}:{}"), addresses[0], port));
}

bool send_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

std::string receive_all(int socket, size_t limit) {
  std::string all;
  char buffer[16384];
  while (all.size() < limit) {
    const ssize_t count = ::recv(socket, buffer, std::min(sizeof(buffer), limit - all.size()), 0);
    if (count <= 0) break;
    all.append(buffer, static_cast<size_t>(count));
  }
  return all;
}

bool was_reset(int socket, std::string_view first) {
  char byte;
  if (!first.empty() && ::send(socket, first.data(), first.size(), MSG_NOSIGNAL) < 0) return errno == ECONNRESET;
  return ::recv(socket, &byte, 1, 0) < 0 && errno == ECONNRESET;
}

std::string client_hello(const std::string& sni, bool ech) {
  const auto two = [](size_t n) { return std::string{static_cast<char>(n >> 8), static_cast<char>(n)}; };
  std::string extensions;
  if (!sni.empty()) {
    const std::string name = std::string(1, '\0') + two(sni.size()) + sni;
    extensions += two(0) + two(name.size() + 2) + two(name.size()) + name;
  }
  if (ech) extensions += two(0xfe0d) + two(4) + std::string("\0\0\0\0", 4);
  std::string body =
      two(0x0303) + std::string(32, 'r') + std::string(1, '\0') + two(2) + two(0x1301) + std::string("\1\0", 2);
  body += two(extensions.size()) + extensions;
  const std::string handshake = std::string("\1\0", 2) + two(body.size()) + body;
  return std::string("\x16\x03\x01", 3) + two(handshake.size()) + handshake;
}

policy::NetworkRule allow(const std::string& host, int port, policy::Protocol protocol) {
  policy::NetworkRule rule;
  if (const auto cidr = Cidr::parse(host))
    rule.address = *cidr;
  else
    rule.host = host;
  rule.ports = {{static_cast<uint16_t>(port), static_cast<uint16_t>(port)}};
  rule.protocol = protocol;
  rule.tls = policy::TlsMode::passthrough;
  rule.where = {"policy.yaml", 7, 5};
  return rule;
}

policy::Policy policy_of(std::vector<policy::NetworkRule> rules) {
  policy::Policy policy;
  policy.network.present = true;
  policy.network.allow = std::move(rules);
  policy.network.resolver = Endpoint::parse("9.9.9.9:53");
  return policy;
}

int count_events(const std::vector<event::Event>& events, std::string_view kind, event::Decision decision,
                 std::string_view subject) {
  int count = 0;
  for (const auto& event : events)
    if (event.kind == kind && event.decision == decision && (subject.empty() || event.subject == subject)) ++count;
  return count;
}

std::string refusal_of(const std::vector<event::Event>& events, std::string_view subject) {
  for (const auto& event : events)
    if (event.decision == event::Decision::deny && event.subject == subject) return event.reason;
  return {};
}

}  // namespace stockade::egress::world
