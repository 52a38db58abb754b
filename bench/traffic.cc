// Loads a path between a client and a server, each one thread with epoll, so that neither is the slow part.
//
//   traffic serve ADDRESS PORT            first byte of a connection: S send without end, E echo, I keep it open
//   traffic stream HOST PORT N SECONDS    N connections, reads what comes          → bytes a second
//   traffic rate HOST PORT N SECONDS      N at once: connect, one byte and back    → connections a second
//   traffic idle HOST PORT N              N connections, then waits for a line on stdin
//
// Clients say "ready" (idle) or a JSON object on stdout. A connection that fails ends the client with status 1.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t kBuffer = 256 * 1024;

[[noreturn]] void leave(const char* what) {
  std::fprintf(stderr, "traffic: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

void watch(int epoll, int operation, int fd, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (::epoll_ctl(epoll, operation, fd, &event) != 0) leave("epoll_ctl");
}

// What a server still has to do for each descriptor.
enum class Role : char { unknown, sender, echo, idle };

bool serve_ready(int epoll, int fd, Role& role, std::vector<char>& buffer) {
  if (role == Role::unknown) {
    char first = 0;
    const ssize_t got = ::recv(fd, &first, 1, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN)) return false;
    if (got < 0) return true;
    if (first == 'E') return ::send(fd, &first, 1, MSG_NOSIGNAL) == 1;
    role = first == 'S' ? Role::sender : Role::idle;
    if (role == Role::sender) watch(epoll, EPOLL_CTL_MOD, fd, EPOLLOUT | EPOLLRDHUP);
    return true;
  }
  if (role == Role::sender) {
    const ssize_t sent = ::send(fd, buffer.data(), buffer.size(), MSG_NOSIGNAL);
    return sent >= 0 || errno == EAGAIN;
  }
  return ::recv(fd, buffer.data(), buffer.size(), 0) > 0;
}

int serve(const char* address, int port) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int one = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(static_cast<uint16_t>(port));
  ::inet_pton(AF_INET, address, &where.sin_addr);
  if (::bind(listener, reinterpret_cast<sockaddr*>(&where), sizeof where) != 0) leave("bind");
  if (::listen(listener, 4096) != 0) leave("listen");
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN);
  std::vector<Role> roles(1 << 16, Role::unknown);
  std::vector<char> buffer(kBuffer, 'x');
  std::puts("ready");
  std::fflush(stdout);
  epoll_event events[256];
  while (true) {
    const int count = ::epoll_wait(epoll, events, 256, -1);
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd == listener) {
        int peer;
        while ((peer = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
          roles[static_cast<size_t>(peer)] = Role::unknown;
          watch(epoll, EPOLL_CTL_ADD, peer, EPOLLIN | EPOLLRDHUP);
        }
      } else if (!serve_ready(epoll, fd, roles[static_cast<size_t>(fd)], buffer)) {
        ::close(fd);
      }
    }
  }
}

sockaddr_in find(const char* host, const char* port) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  if (::getaddrinfo(host, port, &hints, &found) != 0 || found == nullptr) {
    std::fprintf(stderr, "traffic: no address for %s\n", host);
    std::exit(1);
  }
  sockaddr_in address;
  std::memcpy(&address, found->ai_addr, sizeof address);
  ::freeaddrinfo(found);
  return address;
}

int connect_now(const sockaddr_in& to, bool blocking) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (blocking ? 0 : SOCK_NONBLOCK), 0);
  if (fd < 0) leave("socket");
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 && errno != EINPROGRESS) leave("connect");
  return fd;
}

int stream(const sockaddr_in& to, int connections, double seconds) {
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  for (int i = 0; i < connections; ++i) {
    const int fd = connect_now(to, true);
    if (::send(fd, "S", 1, MSG_NOSIGNAL) != 1) leave("send");
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN);
  }
  std::vector<char> buffer(kBuffer);
  epoll_event events[64];
  // The first quarter of a second warms up: windows grow, pipes are made.
  auto begin = Clock::now() + std::chrono::milliseconds(250);
  const auto end = begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  double bytes = 0;
  bool counting = false;
  auto now = Clock::now();
  while (now < end) {
    const int count = ::epoll_wait(epoll, events, 64, 1000);
    if (count == 0) {
      errno = ETIMEDOUT;
      leave("no byte for a second");
    }
    for (int i = 0; i < count; ++i) {
      const ssize_t got = ::recv(events[i].data.fd, buffer.data(), buffer.size(), 0);
      if (got == 0 || (got < 0 && errno != EAGAIN)) leave("recv");
      if (counting && got > 0) bytes += static_cast<double>(got);
    }
    now = Clock::now();
    if (!counting && now >= begin) {
      counting = true;
      begin = now;
    }
  }
  const std::chrono::duration<double> took = now - begin;
  std::printf("{\"bytes_per_second\": %.0f}\n", bytes / took.count());
  return 0;
}

int rate(const sockaddr_in& to, int at_once, double seconds) {
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  const auto open_one = [&] { watch(epoll, EPOLL_CTL_ADD, connect_now(to, false), EPOLLOUT); };
  for (int i = 0; i < at_once; ++i) open_one();
  const auto begin = Clock::now();
  const auto end = begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  long done = 0;
  epoll_event events[64];
  auto now = begin;
  // Close with a reset: thousands of ports in TIME_WAIT would measure the kernel's port search instead.
  const linger reset{1, 0};
  while ((now = Clock::now()) < end) {
    const int count = ::epoll_wait(epoll, events, 64, 2000);
    if (count == 0) {
      errno = ETIMEDOUT;
      leave("no answer for two seconds");
    }
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if ((events[i].events & EPOLLIN) != 0) {
        char byte = 0;
        if (::recv(fd, &byte, 1, 0) != 1) leave("recv");
        ++done;
        ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        ::close(fd);
        open_one();
      } else {
        if (::send(fd, "E", 1, MSG_NOSIGNAL) != 1) leave("send");
        watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN);
      }
    }
  }
  const std::chrono::duration<double> took = now - begin;
  std::printf("{\"connections_per_second\": %.0f, \"connections\": %ld}\n", static_cast<double>(done) / took.count(),
              done);
  return 0;
}

int idle(const sockaddr_in& to, int connections) {
  for (int i = 0; i < connections; ++i)
    if (::send(connect_now(to, true), "I", 1, MSG_NOSIGNAL) != 1) leave("send");
  std::puts("ready");
  std::fflush(stdout);
  std::getchar();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  if (verb == "serve" && argc == 4) return serve(argv[2], std::atoi(argv[3]));
  if (argc < 5) {
    std::fputs("traffic: serve ADDRESS PORT | stream|rate HOST PORT N SECONDS | idle HOST PORT N\n", stderr);
    return 2;
  }
  const sockaddr_in to = find(argv[2], argv[3]);
  const int connections = std::atoi(argv[4]);
  if (verb == "idle") return idle(to, connections);
  if (argc < 6) return 2;
  if (verb == "stream") return stream(to, connections, std::atof(argv[5]));
  if (verb == "rate") return rate(to, connections, std::atof(argv[5]));
  return 2;
}
