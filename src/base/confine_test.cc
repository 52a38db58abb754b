#include "base/confine.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <memory>

#include "base/fd.h"
#include "base/landlock_abi.h"
#include "base/message_socket.h"
#include "base/pid.h"
#include "filters/dialer.h"
#include "filters/inspector.h"
#include "filters/observer.h"
#include "filters/relay.h"

namespace stockade {
namespace {

constexpr uid_t kOrdinaryUser = 12345;

int in_child(const std::function<int()>& body, uid_t user = ::geteuid()) {
  auto child = fork_child([&] {
    if (user != ::geteuid() && (::setresgid(user, user, user) != 0 || ::setresuid(user, user, user) != 0)) return 90;
    return body();
  });
  if (!child) return -1;
  const auto status = child->wait();
  return !status ? -1 : status->signalled ? 1000 + status->code : status->code;
}

int confined(const Confinement& confinement, const std::function<int()>& body) {
  if (auto done = confine_worker(confinement); !done) {
    std::fprintf(stderr, "%s\n", done.error().render().c_str());
    return 99;
  }
  return body();
}

int error_of(long result) { return result < 0 ? errno : 0; }

Confinement inspector() {
  return {.name = "inspector", .filter = filters::kInspectorFilter, .data_limit = 256 << 20, .open_files = 64};
}

// Everything that a worker without network, files and programs must fail at.
int tries_everything() {
  if (error_of(::open("/etc/passwd", O_RDONLY)) != EPERM) return 1;
  if (error_of(::syscall(SYS_open_tree, AT_FDCWD, "/", 0)) != ENOSYS) return 2;
  if (error_of(::socket(AF_INET, SOCK_STREAM, 0)) != EPERM) return 3;
  if (error_of(::syscall(SYS_connect, 0, nullptr, 0)) != EPERM) return 4;
  if (error_of(::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)) != EPERM) return 5;
  if (error_of(::execl("/bin/true", "true", nullptr)) != EPERM) return 6;
  if (error_of(::kill(::getppid(), 0)) != EPERM) return 7;
  if (::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0) return 8;
  if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) return 9;
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_max > 64) return 10;
  // What it lives on still works: memory, messages, waiting.
  auto memory = std::make_unique<char[]>(8 << 20);
  memory[0] = 1;
  pollfd none{-1, 0, 0};
  return ::poll(&none, 1, 0) == 0 ? 0 : 11;
}

TEST(ConfineWorker, LeavesAnInspectorNothingButItsDescriptors) {
  EXPECT_EQ(in_child([] { return confined(inspector(), tries_everything); }), 0);
}

TEST(ConfineWorker, HoldsForAnOrdinaryUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  EXPECT_EQ(in_child([] { return confined(inspector(), tries_everything); }, kOrdinaryUser), 0);
}

TEST(ConfineWorker, StillPassesDescriptorsOverItsMessageSocket) {
  auto pair = make_socket_pair(SOCK_SEQPACKET);
  ASSERT_TRUE(pair);
  EXPECT_EQ(in_child([&] {
              auto pipe = make_pipe();
              return confined(inspector(), [&] {
                const int fds[] = {pipe->read.get()};
                return send_message((*pair)[1].get(), "here", fds) ? 0 : 1;
              });
            }),
            0);
  Message message;
  const auto received = receive_message((*pair)[0].get(), message);
  ASSERT_TRUE(received);
  EXPECT_EQ(message.bytes, "here");
  EXPECT_EQ(message.fds.size(), 1u);
}

TEST(ConfineWorker, LimitsMemory) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's shadow needs RLIMIT_DATA off";
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  GTEST_SKIP() << "a sanitizer's shadow needs RLIMIT_DATA off";
#endif
#endif
  EXPECT_EQ(in_child([] {
              return confined(inspector(), [] {
                void* memory =
                    ::mmap(nullptr, size_t{1} << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                return memory == MAP_FAILED ? errno : 0;
              });
            }),
            ENOMEM);
}

// A dialer may connect to the ports of its policy, and no other; the kernel refuses before a packet leaves.
TEST(ConfineWorker, LimitsADialersPorts) {
  if (landlock::kernel_abi() < 4) GTEST_SKIP() << "Landlock below ABI 4 has no TCP rights";
  const Fd server(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_TRUE(server);
  sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
  socklen_t size = sizeof(address);
  ASSERT_EQ(::bind(server.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(server.get(), 4), 0);
  ASSERT_EQ(::getsockname(server.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  const uint16_t port = ntohs(address.sin_port);
  auto connect_with = [&](std::vector<uint16_t> ports) {
    return in_child([&] {
      return confined({.name = "dialer", .filter = filters::kDialerFilter, .connect_ports = ports}, [&] {
        const Fd client(::socket(AF_INET, SOCK_STREAM, 0));
        if (!client) return 91;
        return error_of(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)));
      });
    });
  };
  EXPECT_EQ(connect_with({port}), 0);
  EXPECT_EQ(connect_with({443}), port == 443 ? 0 : EACCES);
  EXPECT_EQ(connect_with({}), EACCES);
}

TEST(ConfineWorker, LetsARelayStopItselfAndWaitForItsChild) {
  auto child = fork_child([] {
    return confined({.name = "relay", .filter = filters::kRelayFilter, .scope_signals = false}, [] {
      ::kill(0, SIGCONT);
      return error_of(::kill(::getpid(), SIGSTOP)) != 0 ? 1 : 0;
    });
  });
  ASSERT_TRUE(child);
  int status = 0;
  ASSERT_EQ(::waitpid(child->get(), &status, WUNTRACED), child->get());
  EXPECT_TRUE(WIFSTOPPED(status));
  ASSERT_TRUE(child->signal(SIGCONT));
  EXPECT_EQ(child->wait()->code, 0);
}

TEST(ConfineWorker, LetsAnObserverReadTheProcessesItJudges) {
  static int word = 4711;
  auto observed = fork_child([] {
    ::pause();
    return 0;
  });
  ASSERT_TRUE(observed);
  const uint64_t ptrace = ::geteuid() == 0 ? uint64_t{1} << CAP_SYS_PTRACE : 0;
  Confinement observer{.name = "observer", .filter = filters::kObserverFilter, .keep_capabilities = ptrace};
  observer.landlock = false;
  EXPECT_EQ(in_child([&] {
              return confined(observer, [&] {
                int copy = 0;
                const iovec here{&copy, sizeof(copy)};
                const iovec there{&word, sizeof(word)};
                if (::process_vm_readv(observed->get(), &here, 1, &there, 1, 0) != sizeof(copy) || copy != 4711)
                  return 1;
                if (::syscall(SYS_pidfd_getfd, observed->pidfd(), 0, 0) < 0) return 2;
                return error_of(::socket(AF_INET, SOCK_STREAM, 0)) == EPERM ? 0 : 3;
              });
            }),
            0);
}

TEST(ConfineWorker, RefusesAnEmptyFilterAndAParentThatIsGone) {
  EXPECT_EQ(in_child([] { return confine_worker({.name = "x"}) ? 1 : 0; }), 0);
  EXPECT_EQ(in_child([] {
              return confine_worker({.name = "x", .filter = filters::kInspectorFilter, .parent = 1 << 22}) ? 1 : 0;
            }),
            0);
}

TEST(DropCapabilities, KeepsExactlyWhatItIsTold) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  EXPECT_EQ(in_child([] { return drop_capabilities(1 << CAP_NET_BIND_SERVICE, BoundingSet::must_be_empty) ? 0 : 1; }),
            0);
  EXPECT_EQ(in_child([] {
              if (!drop_capabilities(0, BoundingSet::must_be_empty)) return 1;
              return drop_capabilities(1 << CAP_NET_BIND_SERVICE, BoundingSet::if_possible) ? 2 : 0;
            }),
            0);
}

}  // namespace
}  // namespace stockade
