// The cgroup trees of other hosts, as directories of plain files.
#include "sandbox/cgroup.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace stockade::sandbox {
namespace {

namespace fs = std::filesystem;

class CgroupTree : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/stockade-cgroup-XXXXXX";
    root_ = ::mkdtemp(name);
  }
  void TearDown() override { fs::remove_all(root_); }

  void file(const std::string& path, const std::string& text) {
    fs::create_directories(fs::path(root_ + "/" + path).parent_path());
    std::ofstream(root_ + "/" + path) << text;
  }
  void v2_group(const std::string& path, const std::string& subtree) {
    file(path + "/cgroup.procs", "");
    file(path + "/cgroup.controllers", "cpu memory pids\n");
    file(path + "/cgroup.subtree_control", subtree + "\n");
  }
  std::string root_;
};

TEST_F(CgroupTree, FindsAUnifiedTree) {
  v2_group("", "cpu memory pids");
  v2_group("user.slice/session.scope", "");
  const CgroupPlaces places = find_cgroups(root_, "0::/user.slice/session.scope\n");
  EXPECT_EQ(places.v2, root_ + "/user.slice/session.scope");
  EXPECT_EQ(places.v2_root, root_);
  EXPECT_EQ(places.v1_memory, "");
}

TEST_F(CgroupTree, FindsAHybridTreeAndItsJoinedControllers) {
  file("unified/cgroup.procs", "");
  file("memory/a/b/cgroup.procs", "");
  file("cpu/cgroup.procs", "");
  const CgroupPlaces places = find_cgroups(root_, "4:memory:/a/b\n2:cpu,cpuacct:/\n1:name=systemd:/x\n0::/\n");
  EXPECT_EQ(places.v2, root_ + "/unified");
  EXPECT_EQ(places.v1_memory, root_ + "/memory/a/b");
  EXPECT_EQ(places.v1_cpu, root_ + "/cpu");
  EXPECT_EQ(places.v1_pids, "");
}

TEST_F(CgroupTree, TakesTheMountForAContainersOwnCgroup) {
  file("memory/cgroup.procs", "");
  EXPECT_EQ(find_cgroups(root_, "4:memory:/docker/0123\n").v1_memory, root_ + "/memory");
}

TEST_F(CgroupTree, ChoosesTheNearestParentThatHandsOutControllers) {
  v2_group("", "cpu memory pids");
  v2_group("slice", "cpu memory pids");
  v2_group("slice/own.scope", "");  // holds us, so it can't hand anything out
  const LimitSupport support = probe_limit_support(find_cgroups(root_, "0::/slice/own.scope\n"));
  EXPECT_EQ(support.memory.strength, Strength::hard);
  EXPECT_EQ(support.memory.by, "cgroup v2 memory");
  EXPECT_EQ(support.cpus.strength, Strength::hard);
}

TEST_F(CgroupTree, IsPolledWithoutADelegatedGroup) {
  v2_group("", "");
  v2_group("own", "");
  const LimitSupport support = probe_limit_support(find_cgroups(root_, "0::/own\n"));
  EXPECT_EQ(support.memory.strength, Strength::polled);
  EXPECT_EQ(support.pids.strength, Strength::hard);
}

TEST_F(CgroupTree, RefusesANameThatLeavesTheTree) {
  v2_group("", "");
  for (const char* id : {"", "..", "a/b", ".hidden", "a b"}) {
    EXPECT_FALSE(RunCgroup::create({.run_id = id}, find_cgroups(root_, "0::/\n"))) << id;
  }
}

TEST_F(CgroupTree, RemovesALeafThatIsLeftOver) {
  v2_group("", "");
  fs::create_directories(root_ + "/stockade-gone");
  const auto removed = remove_leftover_cgroups("gone", find_cgroups(root_, "0::/\n"));
  ASSERT_TRUE(removed);
  EXPECT_EQ(*removed, 1);
  EXPECT_FALSE(fs::exists(root_ + "/stockade-gone"));
}

TEST(RunCgroupInTheKernel, HoldsAndRemovesItsGroups) {
  const CgroupPlaces places = find_own_cgroups();
  const LimitSupport support = probe_limit_support(places);
  if (support.memory.strength != Strength::hard) GTEST_SKIP() << "no writable memory cgroup";
  const std::string id = "test-cgroup-" + std::to_string(::getpid());
  {
    auto cgroup = RunCgroup::create({.run_id = id, .memory = 64U << 20, .cpus = 500}, places);
    ASSERT_TRUE(cgroup) << cgroup.error().render();
    EXPECT_TRUE(cgroup->has_memory());
    EXPECT_TRUE(cgroup->has_cpus());
    EXPECT_TRUE(cgroup->memory_used());
    EXPECT_EQ(cgroup->out_of_memory_kills(), 0U);
    EXPECT_FALSE(RunCgroup::create({.run_id = id, .memory = 64U << 20}, places)) << "a name is taken once";
  }
  EXPECT_EQ(*remove_leftover_cgroups(id, places), 0);
}

}  // namespace
}  // namespace stockade::sandbox
