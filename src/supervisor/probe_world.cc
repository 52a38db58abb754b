#include "supervisor/probe_world.h"

#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>
#include <vector>

#include "net/dns.h"
#include "net/transparent.h"

namespace stockade::supervisor {

namespace {

constexpr std::string_view kWord = "stockade-probe-outside";
constexpr uint16_t kStreamPorts[] = {22, 80, 443, 8080};

Result<void> write_file(const std::string& path, std::string_view content, mode_t mode = 0644) {
  STOCKADE_ASSIGN(const Fd fd, open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_NOFOLLOW, mode));
  return write_all(fd.get(), content);
}

Result<void> map_only_us(uid_t uid, gid_t gid) {
  STOCKADE_TRY(write_file("/proc/self/setgroups", "deny"));
  STOCKADE_TRY(write_file("/proc/self/uid_map", fmt::format("{0} {0} 1", uid)));
  return write_file("/proc/self/gid_map", fmt::format("{0} {0} 1", gid));
}

Result<Fd> open_server(int type, uint16_t port, int family) {
  Fd fd(::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno("make a socket of the probe's world");
  const int on = 1;
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (family == AF_INET6) {
    (void)::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    (void)::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
  } else {
    (void)::setsockopt(fd.get(), IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
  }
  const auto* address =
      family == AF_INET6 ? reinterpret_cast<const sockaddr*>(&v6) : reinterpret_cast<const sockaddr*>(&v4);
  if (::bind(fd.get(), address, family == AF_INET6 ? sizeof(v6) : sizeof(v4)) < 0 ||
      (type == SOCK_STREAM && ::listen(fd.get(), 64) < 0))
    return fail_errno("serve port {} in the probe's world", port);
  return fd;
}

Result<Fd> open_abstract_server() {
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, kWord.data(), kWord.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + kWord.size());
  if (!fd || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) < 0 || ::listen(fd.get(), 8) < 0)
    return fail_errno("make the world's abstract socket");
  return fd;
}

IpAddress address_of(std::string_view name) {
  if (name.starts_with("loopback.")) return *IpAddress::parse("127.0.0.1");
  if (name.starts_with("metadata.")) return *IpAddress::parse("169.254.169.254");
  return *IpAddress::parse("203.0.113.80");
}

// Answers from the address that was asked, which the control message carries both ways.
void answer_packet(int fd, bool dns, int queries) {
  char bytes[2048];
  alignas(cmsghdr) char control[256];
  sockaddr_storage peer{};
  iovec vector{bytes, sizeof(bytes)};
  msghdr message{};
  message.msg_name = &peer;
  message.msg_namelen = sizeof(peer);
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const ssize_t got = ::recvmsg(fd, &message, 0);
  if (got < 0) return;
  std::string reply(kWord);
  if (dns) {
    auto query = net::parse_dns_query({bytes, static_cast<size_t>(got)});
    if (query) {
      (void)write_all(queries, query->name + "\n");
      net::DnsReply addresses;
      addresses.addresses = {address_of(query->name)};
      // What is no question of the firewall's own gets the word as well: a tunnel's way back.
      reply = query->type == static_cast<uint16_t>(net::DnsType::txt) ? std::string(bytes, 12) + reply
                                                                      : net::build_dns_reply(*query, addresses, 512);
    }
  }
  for (cmsghdr* each = CMSG_FIRSTHDR(&message); each; each = CMSG_NXTHDR(&message, each)) {
    if (each->cmsg_level == IPPROTO_IP && each->cmsg_type == IP_PKTINFO) {
      auto* info = reinterpret_cast<in_pktinfo*>(CMSG_DATA(each));
      info->ipi_spec_dst = info->ipi_addr;
      info->ipi_ifindex = 0;
    }
  }
  vector = {reply.data(), reply.size()};
  (void)::sendmsg(fd, &message, MSG_NOSIGNAL);
}

void greet(int listener) {
  const Fd peer(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  if (!peer) return;
  // A client that says something first is heard, so that no reset overtakes the answer.
  pollfd watched{peer.get(), POLLIN, 0};
  char request[4096];
  if (::poll(&watched, 1, 500) > 0) (void)!::read(peer.get(), request, sizeof(request));
  const std::string answer =
      fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}", kWord.size(), kWord);
  (void)!::send(peer.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
  ::shutdown(peer.get(), SHUT_WR);
}

struct Server {
  Fd fd;
  bool stream = false;
  bool dns = false;
};

int serve(const std::vector<Server>& servers, int queries) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::signal(SIGPIPE, SIG_IGN);
  std::vector<pollfd> watched;
  for (const Server& server : servers) watched.push_back({server.fd.get(), POLLIN, 0});
  while (::poll(watched.data(), watched.size(), -1) >= 0 || errno == EINTR) {
    for (size_t i = 0; i < servers.size(); ++i) {
      if (!watched[i].revents) continue;
      if (servers[i].stream)
        greet(servers[i].fd.get());
      else
        answer_packet(servers[i].fd.get(), servers[i].dns, queries);
    }
  }
  return 1;
}

}  // namespace

Result<void> enter_world() {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  if (uid != 0 || ::unshare(CLONE_NEWNET) < 0) {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
      return std::unexpected(Error::from_errno("make a network namespace for the probe").hint("run 'stockade doctor'"));
    STOCKADE_TRY(map_only_us(uid, gid));
  }
  STOCKADE_TRY(net::bring_up_loopback());
  return net::route_everything_to_loopback();
}

Result<ProbeWorld> ProbeWorld::start() {
  std::vector<Server> servers;
  for (const int family : {AF_INET, AF_INET6}) {
    for (const uint16_t port : kStreamPorts) {
      STOCKADE_ASSIGN(Fd fd, open_server(SOCK_STREAM, port, family));
      servers.push_back({std::move(fd), true, false});
    }
    for (const uint16_t port : {uint16_t{53}, uint16_t{443}}) {
      STOCKADE_ASSIGN(Fd fd, open_server(SOCK_DGRAM, port, family));
      servers.push_back({std::move(fd), false, port == 53});
    }
  }
  STOCKADE_ASSIGN(Fd abstract, open_abstract_server());
  servers.push_back({std::move(abstract), true, false});
  STOCKADE_ASSIGN(PipeEnds queries, make_pipe(O_NONBLOCK));
  ProbeWorld world;
  STOCKADE_ASSIGN(world.server_, fork_child([&] { return serve(servers, queries.write.get()); }));
  world.queries_ = std::move(queries.read);
  return world;
}

std::string ProbeWorld::take_queries() {
  std::string text;
  char bytes[4096];
  for (ssize_t got; (got = ::read(queries_.get(), bytes, sizeof(bytes))) > 0;)
    text.append(bytes, static_cast<size_t>(got));
  return text;
}

Result<ProbeFixture> ProbeFixture::make() {
  const char* place = ::getenv("TMPDIR");
  std::string path = fmt::format("{}/stockade-probe-XXXXXX", place && *place == '/' ? place : "/tmp");
  if (!::mkdtemp(path.data())) return fail_errno("make {}", path);
  ProbeFixture fixture;
  fixture.path_ = path;
  STOCKADE_TRY(fixture.fill());
  return fixture;
}

ProbeFixture::~ProbeFixture() {
  if (path_.empty()) return;
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Result<void> ProbeFixture::listen_at(const std::string& path) {
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path))
    return fail(ErrorKind::invalid_input, "{} is too long for a socket", path);
  std::memcpy(address.sun_path, path.data(), path.size());
  if (!fd || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) < 0 ||
      ::listen(fd.get(), 8) < 0)
    return fail_errno("make {}", path);
  sockets_.push_back(std::move(fd));
  return {};
}

Result<void> ProbeFixture::fill() {
  for (const char* name : {"work", "read", "read/secret", "write", "write/secret", "write/.git", "write/.git/hooks",
                           "out", "outside", "state", "runtime"})
    if (::mkdir(at(name).c_str(), 0700) < 0) return fail_errno("make {}", at(name));
  for (const char* name :
       {"read/input", "read/secret/key", "write/secret/key", "write/.envrc", "out/old", "outside/canary"})
    STOCKADE_TRY(write_file(at(name), "the probe's canary\n"));
  STOCKADE_TRY(write_file(at("write/.git/hooks/pre-commit"), "#!/bin/sh\n", 0755));
  STOCKADE_TRY(listen_at(at("read/socket")));
  return listen_at(at("write/socket"));
}

}  // namespace stockade::supervisor
