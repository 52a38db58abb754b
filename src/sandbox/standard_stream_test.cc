#include "sandbox/standard_stream.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "base/fd.h"

namespace stockade::sandbox {
namespace {

Fd opened(const char* path, int flags) { return Fd(::open(path, flags | O_CLOEXEC | O_NOCTTY)); }

std::string_view judge(const Fd& fd) {
  EXPECT_TRUE(fd);
  return why_not_a_standard_stream(fd.get());
}

// At an abstract name that the kernel chose.
struct Listener {
  explicit Listener(int type) : socket(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0)) {
    address.sun_family = AF_UNIX;
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(sa_family_t)), 0);
    EXPECT_EQ(::listen(socket.get(), 1), 0);
    EXPECT_EQ(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  }
  Fd socket;
  sockaddr_un address{};
  socklen_t size = sizeof(address);
};

TEST(StandardStream, TakesFilesPipesHarmlessDevicesAndConnectedUnixStreams) {
  EXPECT_EQ(judge(opened("/etc/passwd", O_RDONLY)), "");
  EXPECT_EQ(judge(Fd(::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600))), "");
  EXPECT_EQ(judge(Fd(::memfd_create("here-document", MFD_CLOEXEC))), "");
  auto pipe = make_pipe();
  ASSERT_TRUE(pipe);
  EXPECT_EQ(judge(pipe->read), "");
  EXPECT_EQ(judge(pipe->write), "");
  for (const char* device : {"/dev/null", "/dev/zero", "/dev/full", "/dev/urandom"})
    EXPECT_EQ(judge(opened(device, O_RDWR)), "") << device;
  for (const int type : {SOCK_STREAM, SOCK_SEQPACKET}) {
    int pair[2];
    ASSERT_EQ(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair), 0);
    const Fd one(pair[0]);
    Fd other(pair[1]);
    EXPECT_EQ(judge(one), "");
    other.reset();
    EXPECT_EQ(judge(one), "");
    const Listener server(type);  // it can't be connected anew, even now
    EXPECT_EQ(::connect(one.get(), reinterpret_cast<const sockaddr*>(&server.address), server.size), -1);
    EXPECT_EQ(errno, EISCONN);
  }
}

TEST(StandardStream, RefusesEverySocketThatCanReachSomebodyElse) {
  for (const int domain : {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK}) {
    for (const int type : {SOCK_DGRAM, SOCK_STREAM}) {
      const Fd socket(::socket(domain, type | SOCK_CLOEXEC, 0));
      if (socket) {
        EXPECT_NE(judge(socket), "") << domain << ' ' << type;
      }
    }
  }
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
  const Fd one(pair[0]), other(pair[1]);
  EXPECT_NE(judge(one), "");  // connected, and can still send to any path
  EXPECT_NE(judge(Listener(SOCK_STREAM).socket), "");
}

TEST(StandardStream, RefusesWhatIsNoStream) {
  EXPECT_EQ(why_not_a_standard_stream(-1), "is closed");
  EXPECT_EQ(judge(opened("/tmp", O_RDONLY | O_DIRECTORY)), "is a directory");
  EXPECT_EQ(judge(opened("/etc/passwd", O_PATH)), "is a mere path (O_PATH)");
  EXPECT_NE(judge(opened("/dev/ptmx", O_RDWR)), "");
  for (const char* path : {"/proc/self/mem", "/proc/self/ns/net", "/proc/meminfo", "/proc/sys/kernel/hostname"})
    EXPECT_EQ(judge(opened(path, O_RDONLY)), "is a file of the kernel's (/proc, /sys)") << path;
  EXPECT_NE(judge(Fd(::eventfd(0, EFD_CLOEXEC))), "");
  EXPECT_NE(judge(Fd(::epoll_create1(EPOLL_CLOEXEC))), "");
  EXPECT_NE(judge(Fd(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)))), "");
  for (const char* device : {"/dev/kmsg", "/dev/mem", "/dev/fuse", "/dev/net/tun", "/dev/kvm"}) {
    const Fd fd = opened(device, O_RDONLY);
    if (fd) {
      EXPECT_EQ(judge(fd), "is a device of the host") << device;
    }
  }
}

// How the agent comes to it: another user, by the path of its descriptor.
int error_of_reopening(const Fd& pipe, int flags) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setresgid(12345, 12345, 12345) < 0 || ::setresuid(12345, 12345, 12345) < 0) ::_exit(255);
    ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    const std::string path = "/proc/self/fd/" + std::to_string(pipe.get());
    ::_exit(::open(path.c_str(), flags | O_NONBLOCK | O_CLOEXEC) < 0 ? errno : 0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WEXITSTATUS(status);
}

TEST(StandardStream, OpensAPipeToOthersInItsOwnDirectionOnly) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  for (const bool writes : {false, true}) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const Fd read(ends[0]), write(ends[1]);
    const Fd& given = writes ? write : read;
    EXPECT_EQ(error_of_reopening(given, writes ? O_WRONLY : O_RDONLY), EACCES);
    open_pipe_to_others(given.get());
    EXPECT_EQ(error_of_reopening(given, writes ? O_WRONLY : O_RDONLY), 0);
    EXPECT_EQ(error_of_reopening(given, writes ? O_RDONLY : O_WRONLY), EACCES);
    EXPECT_EQ(error_of_reopening(given, O_RDWR), EACCES);
  }
}

TEST(StandardStream, LeavesTheModeOfWhatHasAName) {
  char directory[] = "/tmp/stockade-stream-XXXXXX";
  ASSERT_TRUE(::mkdtemp(directory));
  const std::string path = std::string(directory) + "/fifo";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const Fd fifo = opened(path.c_str(), O_RDWR);
  open_pipe_to_others(fifo.get());
  struct stat info;
  ASSERT_EQ(::fstat(fifo.get(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  ::unlink(path.c_str());
  ::rmdir(directory);
}

}  // namespace
}  // namespace stockade::sandbox
