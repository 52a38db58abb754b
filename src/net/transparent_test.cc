// The redirect in a network namespace of the test's own, as root and as an ordinary user with a user namespace.
#include "net/transparent.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cstring>
#include <functional>

#include "base/ip_address.h"
#include "net/redirect_rules.h"
#include "net/socket_diag.h"

namespace stockade::net {
namespace {

// Runs `body` in a child with a network namespace (a user's comes with a user namespace); its text is why it failed.
std::string in_namespace(bool as_user, const std::function<std::string()>& body) {
  auto pipe = make_pipe();
  const pid_t pid = ::fork();
  if (pid == 0) {
    std::string why;
    if (as_user && ::geteuid() == 0 && (::setresgid(12345, 12345, 12345) != 0 || ::setresuid(12345, 12345, 12345) != 0))
      why = "setuid";
    if (why.empty() && ::unshare(CLONE_NEWNET | (::geteuid() == 0 ? 0 : CLONE_NEWUSER)) != 0) why = "unshare";
    if (why.empty()) why = body();
    (void)!::write(pipe->write.get(), why.data(), why.size());
    ::_exit(0);
  }
  pipe->write.reset();
  std::string why;
  char buffer[512];
  ssize_t count;
  while ((count = ::read(pipe->read.get(), buffer, sizeof(buffer))) > 0) why.append(buffer, static_cast<size_t>(count));
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (!WIFEXITED(status)) why += " crashed";
  return why;
}

Result<TransparentListeners> redirect(bool proxy = false) {
  STOCKADE_TRY(route_everything_to_loopback());
  STOCKADE_TRY(install_redirect_rules());
  return open_transparent_listeners(proxy);
}

Fd connect_to(const char* where, int type) {
  const auto endpoint = Endpoint::parse(where);
  sockaddr_storage address{};
  const socklen_t size = endpoint->to_sockaddr(address);
  Fd fd(::socket(address.ss_family, type | SOCK_CLOEXEC, 0));
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) fd.reset();
  return fd;
}

std::string own_address(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  const auto endpoint = Endpoint::from_sockaddr(address);
  return endpoint ? endpoint->to_string() : "none";
}

bool is_readable(int fd, int patience = 2000) {
  pollfd waiting{fd, POLLIN, 0};
  return ::poll(&waiting, 1, patience) == 1;
}

class Transparent : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(AsRootAndUser, Transparent, ::testing::Bool(),
                         [](const auto& info) { return info.param ? std::string("user") : std::string("root"); });

TEST_P(Transparent, BringsEveryTcpConnectionToTheListenerWithItsDestination) {
  EXPECT_EQ(
      in_namespace(GetParam(),
                   []() -> std::string {
                     auto listeners = redirect();
                     if (!listeners) return listeners.error().render();
                     const std::pair<const char*, int> cases[] = {
                         {"203.0.113.7:443", listeners->tcp4.get()},    {"10.1.2.3:1", listeners->tcp4.get()},
                         {"169.254.169.254:80", listeners->tcp4.get()}, {"[2001:db8::1]:65535", listeners->tcp6.get()},
                         {"9.9.9.9:53", listeners->dns_tcp4.get()},     {"[fe00::1]:53", listeners->dns_tcp6.get()},
                     };
                     for (const auto& [where, listener] : cases) {
                       const Fd client = connect_to(where, SOCK_STREAM);
                       if (!client) return std::string("no connection to ") + where;
                       if (!is_readable(listener)) return std::string("not at the listener: ") + where;
                       const Fd accepted(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
                       if (own_address(accepted.get()) != where)
                         return own_address(accepted.get()) + " instead of " + where;
                       if (::write(accepted.get(), "x", 1) != 1 || !is_readable(client.get()))
                         return std::string("no answer from ") + where;
                     }
                     return "";
                   }),
      "");
}

TEST_P(Transparent, LeavesLoopbackToTheProgramsInside) {
  EXPECT_EQ(in_namespace(GetParam(),
                         []() -> std::string {
                           auto listeners = redirect();
                           if (!listeners) return listeners.error().render();
                           for (const char* where : {"127.0.0.1:8080", "127.1.2.3:8081", "[::1]:8082"}) {
                             sockaddr_storage address{};
                             const socklen_t size = Endpoint::parse(where)->to_sockaddr(address);
                             const Fd server(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
                             if (::bind(server.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
                                 ::listen(server.get(), 1) != 0)
                               return "bind";
                             if (!connect_to(where, SOCK_STREAM) || !is_readable(server.get()))
                               return std::string("its own server was not reached: ") + where;
                           }
                           return is_readable(listeners->tcp4.get(), 0) || is_readable(listeners->tcp6.get(), 0)
                                      ? "came to us"
                                      : "";
                         }),
            "");
}

TEST_P(Transparent, ReadsOtherUdpWithItsDestinationAndDnsOfAnyAddress) {
  EXPECT_EQ(in_namespace(GetParam(),
                         []() -> std::string {
                           auto listeners = redirect();
                           if (!listeners) return listeners.error().render();
                           const std::pair<const char*, int> cases[] = {{"192.0.2.9:123", listeners->udp4.get()},
                                                                        {"[2001:db8::5]:443", listeners->udp6.get()},
                                                                        {"8.8.8.8:53", listeners->dns4.get()},
                                                                        {"[2001:db8::6]:53", listeners->dns6.get()}};
                           for (const auto& [where, listener] : cases) {
                             const Fd client = connect_to(where, SOCK_DGRAM);
                             if (!client || ::send(client.get(), "q", 1, 0) != 1)
                               return std::string("can't send to ") + where;
                             if (!is_readable(listener)) return std::string("not at the listener: ") + where;
                             char byte;
                             alignas(cmsghdr) char control[256];
                             sockaddr_storage from{};
                             iovec part{&byte, 1};
                             msghdr header{.msg_name = &from,
                                           .msg_namelen = sizeof(from),
                                           .msg_iov = &part,
                                           .msg_iovlen = 1,
                                           .msg_control = control,
                                           .msg_controllen = sizeof(control),
                                           .msg_flags = 0};
                             if (::recvmsg(listener, &header, 0) != 1) return "recvmsg";
                             const cmsghdr* item = CMSG_FIRSTHDR(&header);
                             if (!item) return std::string("no destination with ") + where;
                             if (item->cmsg_type == IP_RECVORIGDSTADDR || item->cmsg_type == IPV6_RECVORIGDSTADDR) {
                               sockaddr_storage meant{};
                               std::memcpy(&meant, CMSG_DATA(item),
                                           std::min<size_t>(item->cmsg_len - CMSG_LEN(0), sizeof(meant)));
                               if (Endpoint::from_sockaddr(meant)->to_string() != where)
                                 return std::string("wrong destination of ") + where;
                             }
                           }
                           return "";
                         }),
            "");
}

TEST_P(Transparent, NamesTheSocketBehindAConnection) {
  EXPECT_EQ(in_namespace(GetParam(),
                         []() -> std::string {
                           auto listeners = redirect();
                           auto diag = open_socket_diag();
                           if (!listeners || !diag) return "set-up";
                           const Fd client = connect_to("203.0.113.7:443", SOCK_STREAM);
                           struct stat info{};
                           ::fstat(client.get(), &info);
                           const Endpoint local = *Endpoint::parse(own_address(client.get()));
                           auto owner = find_inet_socket(diag->get(), true, local, *Endpoint::parse("203.0.113.7:443"));
                           if (!owner) return owner.error().render();
                           if (!*owner) return "not found";
                           if ((*owner)->inode != info.st_ino) return "another inode";
                           Endpoint other = local;
                           other.port = static_cast<uint16_t>(other.port ^ 1);
                           auto none = find_inet_socket(diag->get(), true, other, *Endpoint::parse("203.0.113.7:443"));
                           if (!none) return none.error().render();
                           return *none ? "found what isn't there" : "";
                         }),
            "");
}

TEST_P(Transparent, ListsTheUnixSocketsThatWereBoundInside) {
  EXPECT_EQ(in_namespace(GetParam(),
                         []() -> std::string {
                           auto diag = open_socket_diag();
                           if (!diag) return "diag";
                           sockaddr_un address{};
                           address.sun_family = AF_UNIX;
                           fmt::format_to_n(address.sun_path, sizeof(address.sun_path) - 1, "/tmp/stockade-diag-{}",
                                            ::getpid());
                           const Fd server(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
                           if (::bind(server.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0)
                             return "bind";
                           struct stat info{};
                           ::stat(address.sun_path, &info);
                           ::unlink(address.sun_path);
                           auto bound = list_bound_unix_sockets(diag->get());
                           if (!bound) return bound.error().render();
                           if (bound->size() != 1) return fmt::format("{} sockets", bound->size());
                           return bound->front().device == info.st_dev &&
                                          bound->front().inode == static_cast<uint32_t>(info.st_ino)
                                      ? ""
                                      : "another file";
                         }),
            "");
}

TEST_P(Transparent, PassesListenersOnInAFixedOrder) {
  EXPECT_EQ(in_namespace(GetParam(),
                         []() -> std::string {
                           auto listeners = redirect(true);
                           if (!listeners) return listeners.error().render();
                           std::vector<Fd> copies;
                           for (const int fd : listeners->descriptors()) copies.emplace_back(::dup(fd));
                           if (copies.size() != 12) return fmt::format("{} descriptors", copies.size());
                           auto again = TransparentListeners::from_descriptors(std::move(copies));
                           if (!again) return again.error().render();
                           if (own_address(again->tcp4.get()) != "127.0.0.1:2" ||
                               own_address(again->proxy_socks.get()) != "127.0.0.1:4" ||
                               own_address(again->dns6.get()) != "[::]:53" ||
                               own_address(again->tcp6.get()) != "[::1]:2")
                             return "mixed up";
                           return TransparentListeners::from_descriptors({}) ? "took none" : "";
                         }),
            "");
}

}  // namespace
}  // namespace stockade::net
