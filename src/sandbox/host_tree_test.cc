#include "sandbox/host_tree.h"

#include <dirent.h>
#include <gtest/gtest.h>

#include "sandbox/view_fixture.h"

namespace stockade::sandbox {
namespace {

TEST(HostTree, ResolvesAbsoluteLinksInsideItsRoot) {
  FakeHost host;
  host.link("/opt/tool", "/usr/bin/true");
  host.link("/escape", "../../../../etc");
  const auto found = host.tree().locate("/opt/tool");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->path, "/usr/bin/true");
  EXPECT_EQ(host.tree().locate("/escape")->path, "/etc");
  EXPECT_EQ(host.tree().read_link("/opt/tool"), "/usr/bin/true");
}

TEST(HostTree, TellsNothingOfALoopOrOfWhatIsAbsent) {
  FakeHost host;
  host.link("/loop", "loop");
  EXPECT_FALSE(host.tree().locate("/loop"));
  EXPECT_FALSE(host.tree().locate("/usr/bin/none"));
  EXPECT_EQ(host.tree().resolve("/usr/bin/none").error().error_number(), ENOENT);
}

TEST(HostTree, NeverBlocksOnAFifo) {
  FakeHost host;
  ASSERT_EQ(::mkfifo((host.root() + "/etc/fifo").c_str(), 0644), 0);
  EXPECT_FALSE(host.tree().read("/etc/fifo", 100));
  EXPECT_FALSE(host.tree().read_head("/etc/fifo", 100));
}

TEST(HostTree, RefusesAFileLongerThanItsLimit) {
  FakeHost host;
  host.file("/etc/long", std::string(1000, 'x'));
  EXPECT_FALSE(host.tree().read("/etc/long", 999));
  EXPECT_EQ(host.tree().read("/etc/long", 1000)->size(), 1000u);
  EXPECT_EQ(host.tree().read_head("/etc/long", 10)->size(), 10u);
}

TEST(HostTree, ListsEveryEntryWithItsType) {
  FakeHost host;
  for (int i = 0; i < 1000; ++i) host.file("/many/file-with-a-rather-long-name-" + std::to_string(i));
  size_t files = 0;
  ASSERT_TRUE(host.tree().list("/many", [&](const HostTree::Entry& entry) {
    files += entry.type == DT_REG;
    return true;
  }));
  EXPECT_EQ(files, 1000u);
}

TEST(Paths, AreComparedByComponents) {
  EXPECT_TRUE(is_at_or_below("/a/b", "/a"));
  EXPECT_TRUE(is_at_or_below("/a", "/a"));
  EXPECT_TRUE(is_at_or_below("/a", "/"));
  EXPECT_FALSE(is_at_or_below("/ab", "/a"));
  EXPECT_EQ(relative_to("/a/b/c", "/a"), "b/c");
  EXPECT_EQ(relative_to("/a", "/"), "a");
  EXPECT_EQ(normalized("/a/./b//../c/"), "/a/c");
  EXPECT_EQ(normalized("/../.."), "/");
  EXPECT_EQ(parent_of("/a"), "/");
  EXPECT_EQ(join("/", "a"), "/a");
}

}  // namespace
}  // namespace stockade::sandbox
