#include "sandbox/landlock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>

#include "base/confine.h"
#include "base/landlock_abi.h"
#include "base/pid.h"

namespace stockade::sandbox {
namespace {

class LandlockTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto abi = landlock_abi();
    if (!abi) GTEST_SKIP() << abi.error().render();
    abi_ = *abi;
    char name[] = "/tmp/stockade-landlock-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    root_ = name;
    for (const char* directory : {"/write", "/write/a", "/write/b", "/read", "/other"})
      ASSERT_EQ(::mkdir((root_ + directory).c_str(), 0755), 0);
    for (const char* file : {"/write/a/file", "/read/file", "/other/file"})
      ASSERT_TRUE(write_all(open_at(AT_FDCWD, root_ + file, O_CREAT | O_WRONLY, 0755)->get(), "#!/bin/sh\nexit 3\n"));
  }
  void TearDown() override {
    if (!root_.empty()) std::filesystem::remove_all(root_);
  }

  LandlockRules rules() const {
    return {.paths = {{"/", LandlockAccess::list},
                      {"/usr", LandlockAccess::read_execute},
                      {"/lib64", LandlockAccess::read_execute, true},
                      {"/proc", LandlockAccess::process},
                      {"/dev", LandlockAccess::device},
                      {root_ + "/write", LandlockAccess::write},
                      {root_ + "/read", LandlockAccess::read_execute}}};
  }
  // 0 when `body` inside the domain returned 0.
  int inside(const std::function<int()>& body) const {
    auto child = fork_child([&] {
      if (!forbid_new_privileges() || !restrict_with_landlock(rules())) return 99;
      return body();
    });
    if (!child) return -1;
    const auto status = child->wait();
    return !status ? -1 : status->signalled ? 1000 + status->code : status->code;
  }
  std::string at(const char* path) const { return root_ + path; }

  std::string root_;
  int abi_ = 0;
};

int error_of(int result) { return result < 0 ? errno : 0; }

TEST_F(LandlockTest, OpensOnlyWhatARuleNames) {
  EXPECT_EQ(inside([&] { return error_of(::open(at("/read/file").c_str(), O_RDONLY)); }), 0);
  EXPECT_EQ(inside([&] { return error_of(::open(at("/read/file").c_str(), O_WRONLY)); }), EACCES);
  EXPECT_EQ(inside([&] { return error_of(::open(at("/other/file").c_str(), O_RDONLY)); }), EACCES);
  EXPECT_EQ(inside([&] { return error_of(::open(at("/write/new").c_str(), O_CREAT | O_RDWR, 0600)); }), 0);
  EXPECT_EQ(inside([&] { return error_of(::open("/", O_RDONLY | O_DIRECTORY)); }), 0);
}

TEST_F(LandlockTest, MovesAndLinksBetweenDirectoriesOfAWritableTree) {
  EXPECT_EQ(inside([&] { return error_of(::link(at("/write/a/file").c_str(), at("/write/b/link").c_str())); }), 0);
  EXPECT_EQ(inside([&] { return error_of(::rename(at("/write/a/file").c_str(), at("/write/b/file").c_str())); }), 0);
  EXPECT_NE(inside([&] { return error_of(::rename(at("/write/b/file").c_str(), at("/other/x").c_str())); }), 0);
  EXPECT_NE(inside([&] { return error_of(::link(at("/read/file").c_str(), at("/write/x").c_str())); }), 0)
      << "a link would make it writable";
}

TEST_F(LandlockTest, ExecutesOnlyWhereTheRuleSaysSo) {
  EXPECT_EQ(inside([&] {
              ::execl(at("/read/file").c_str(), "x", nullptr);
              return errno;
            }),
            3);
  EXPECT_EQ(inside([&] {
              ::execl(at("/write/a/file").c_str(), "x", nullptr);
              return errno;
            }),
            EACCES);
}

TEST_F(LandlockTest, LeavesDevicesTerminalsAndOwnProcessFilesUsable) {
  EXPECT_EQ(inside([] { return error_of(::open("/dev/null", O_WRONLY | O_TRUNC)); }), 0);
  EXPECT_EQ(inside([] { return error_of(::open("/proc/self/comm", O_WRONLY)); }), 0);
  EXPECT_EQ(inside([] { return error_of(::open("/proc/self/oom_score_adj", O_WRONLY)); }), 0);
  EXPECT_EQ(inside([] {
              const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
              if (terminal < 0) return errno;
              winsize size{};
              return error_of(::ioctl(terminal, TIOCGWINSZ, &size));
            }),
            0);
}

TEST_F(LandlockTest, ScopesSignalsAndAbstractSockets) {
  if (abi_ < 6) GTEST_SKIP() << "Landlock ABI " << abi_ << " has no scopes";
  const pid_t outside = ::getpid();
  EXPECT_EQ(inside([&] { return error_of(::kill(outside, 0)); }), EPERM);
  EXPECT_EQ(inside([] { return error_of(::kill(::getpid(), 0)); }), 0);

  sockaddr_un address{AF_UNIX, {}};
  const int length = std::snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "stockade-test-%d", outside);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + static_cast<size_t>(length));
  const Fd server(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(server.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(server.get(), 1), 0);
  EXPECT_EQ(inside([&] {
              const int client = ::socket(AF_UNIX, SOCK_STREAM, 0);
              return error_of(::connect(client, reinterpret_cast<sockaddr*>(&address), size));
            }),
            EPERM);
}

TEST_F(LandlockTest, LeavesAtLeastEightLayersToTheAgent) {
  EXPECT_EQ(inside([&] {
              for (int layer = 0; layer < 8; ++layer)
                if (!restrict_with_landlock(rules())) return layer + 1;
              return 0;
            }),
            0);
}

TEST_F(LandlockTest, FailsOnARuleWhosePlaceIsMissingOrALink) {
  ASSERT_EQ(::symlink("/other", at("/link").c_str()), 0);
  for (const char* path : {"/missing", "/link"}) {
    const auto result = restrict_with_landlock({.paths = {{at(path), LandlockAccess::read}}});
    ASSERT_FALSE(result);
    EXPECT_NE(result.error().render().find(path), std::string::npos);
  }
}

TEST(LandlockRules, FollowThePlansMounts) {
  SandboxPlan plan;
  plan.mounts = {{.kind = MountKind::bind, .source = "/usr", .target = "/usr"},
                 {.kind = MountKind::bind, .source = "/data", .target = "/data", .exec = false},
                 {.kind = MountKind::bind, .source = "/work", .target = "/work", .writable = true},
                 {.kind = MountKind::scratch, .target = "/tmp", .exec = false},
                 {.kind = MountKind::symlink, .target = "/bin", .content = "usr/bin"}};
  const auto rules = landlock_rules(plan);
  auto access = [&](const char* path) -> std::optional<LandlockAccess> {
    for (const LandlockRule& rule : rules.paths)
      if (rule.path == path) return rule.access;
    return std::nullopt;
  };
  EXPECT_EQ(access("/usr"), LandlockAccess::read_execute);
  EXPECT_EQ(access("/data"), LandlockAccess::read);
  EXPECT_EQ(access("/work"), LandlockAccess::write_execute);
  EXPECT_EQ(access("/tmp"), LandlockAccess::write);
  EXPECT_EQ(access("/bin"), std::nullopt);
  EXPECT_EQ(access("/"), LandlockAccess::list);
}

}  // namespace
}  // namespace stockade::sandbox
