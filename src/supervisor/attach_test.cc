// Containers as their engines record them, and who lives in a network namespace.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>

#include "base/pid.h"
#include "supervisor/attach_container.h"
#include "supervisor/network_members.h"

namespace stockade::supervisor {
namespace {

namespace fs = std::filesystem;

// A person's home and runtime directory with what rootless engines keep there.
class Containers : public ::testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/stockade-containers-XXXXXX";
    root_ = ::mkdtemp(pattern);
    ::setenv("HOME", (root_ + "/home").c_str(), 1);
    ::setenv("XDG_RUNTIME_DIR", (root_ + "/run").c_str(), 1);
  }
  void TearDown() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    fs::create_directories(fs::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  void crun_records(const std::string& id, uint64_t start) {
    write("/run/crun/" + id + "/status", fmt::format(R"({{"pid": {}, "process-start-time": {}}})", ::getpid(), start));
  }

  std::string root_;
  const uint64_t start_ = process_start(::getpid()).value_or(0);
};

TEST_F(Containers, AreFoundByIdAndByTheBeginningOfIt) {
  crun_records("4f1e9a77c2d0", start_);
  for (const char* name : {"4f1e9a77c2d0", "4f1e9a"}) {
    const auto found = find_container(name);
    ASSERT_TRUE(found) << name << found.error().message();
    EXPECT_EQ(found->pid, ::getpid());
    EXPECT_EQ(found->engine, "crun");
  }
  EXPECT_FALSE(find_container("4f1")) << "too short to mean one";
  EXPECT_FALSE(find_container("c2d0"));
}

TEST_F(Containers, AreFoundByTheNameThatPodmanOrDockerGave) {
  crun_records("aaaa1111", start_);
  write("/home/.local/share/containers/storage/overlay-containers/containers.json",
        R"([{"id": "aaaa1111", "names": ["web"]}, {"id": "bbbb2222", "names": ["other"]}, 7, {"id": 3}])");
  EXPECT_TRUE(find_container("web"));
  EXPECT_FALSE(find_container("other")) << "no runtime runs it";
  write("/run/docker/runtime-runc/moby/cccc3333/state.json",
        fmt::format(R"({{"init_process_pid": {}, "init_process_start": {}}})", ::getpid(), start_));
  write("/home/.local/share/docker/containers/cccc3333/config.v2.json", R"({"Name": "/db"})");
  const auto found = find_container("db");
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ(found->engine, "runc");
}

TEST_F(Containers, ThatEndedAreNotTheProcessThatHasTheirNumberNow) {
  crun_records("dddd4444", start_ + 1);
  EXPECT_FALSE(find_container("dddd4444"));
}

TEST_F(Containers, OfTwoWithOneNameNeitherIsMeant) {
  crun_records("eeee5555", start_);
  crun_records("eeee6666", start_);
  const auto found = find_container("eeee");
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().message().find("2 running containers"), std::string::npos);
}

TEST_F(Containers, RecordsThatAreNoneAreNobodys) {
  for (const char* text : {"", "{", "[]", R"({"pid": "7"})", R"({"pid": -1, "process-start-time": 0})"}) {
    write("/run/crun/ffff7777/status", text);
    EXPECT_FALSE(find_container("ffff7777")) << text;
  }
}

TEST(Credentials, AreReadAsTheKernelShowsThem) {
  const auto own = credentials_of("/proc/self");
  ASSERT_TRUE(own);
  EXPECT_EQ(own->effective_uid, ::geteuid());
  EXPECT_EQ(own->effective & ~own->permitted, 0U);
  EXPECT_FALSE(credentials_of("/proc/self/task/0"));
}

TEST(NetworkMembers, AreFoundAndKilled) {
  auto child = fork_child([] {
    const int flags = CLONE_NEWNET | (::geteuid() == 0 ? 0 : CLONE_NEWUSER);
    if (::unshare(flags) != 0) return 1;
    ::pause();
    return 0;
  });
  ASSERT_TRUE(child);
  const std::string path = fmt::format("/proc/{}/ns/net", child->get());
  const auto ours = namespace_id("/proc/self/ns/net");
  auto its = namespace_id(path);
  for (int i = 0; i < 1000 && its && *its == *ours; ++i) {
    ::usleep(1000);
    its = namespace_id(path);
  }
  ASSERT_TRUE(its);
  ASSERT_NE(*its, *ours) << "no network namespace can be made here";
  const auto members = members_of(*its);
  ASSERT_TRUE(members);
  ASSERT_EQ(members->size(), 1U);
  EXPECT_EQ(members->front().pid, child->get());
  EXPECT_TRUE(members->front().threads_beside.empty());
  EXPECT_TRUE(kill_members(*its));
  const auto status = child->wait();
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->signalled);
}

}  // namespace
}  // namespace stockade::supervisor
