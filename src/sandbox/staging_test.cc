#include "sandbox/staging.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>

namespace stockade::sandbox {
namespace {

namespace fs = std::filesystem;

struct StagingTest : testing::Test {
  fs::path root = fs::path(testing::TempDir()) / ("staging-" + std::to_string(::getpid()));
  fs::path staging = root / "staging";
  fs::path target = root / "target";
  void SetUp() override {
    fs::create_directories(staging);
    fs::create_directories(target);
  }
  void TearDown() override { fs::remove_all(root); }
  static void write(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }
  static std::string read(const fs::path& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static bool kept(const Published& published, const std::string& path) {
    return std::any_of(published.kept.begin(), published.kept.end(), [&](const auto& k) { return k.path == path; });
  }
};

TEST_F(StagingTest, MovesFilesAndNewDirectoriesOut) {
  fs::create_directories(staging / "a/b");
  write(staging / "summary.md", "one");
  write(staging / "a/b/deep", "two");
  const auto published = publish_staging(staging, target).value();
  EXPECT_EQ(published.file_count, 2u);
  EXPECT_EQ(read(target / "summary.md"), "one");
  EXPECT_EQ(read(target / "a/b/deep"), "two");
  EXPECT_TRUE(fs::is_empty(staging));
}

TEST_F(StagingTest, NeverOverwritesAndKeepsTheTakenNameAside) {
  write(target / "report", "before");
  write(staging / "report", "after");
  const auto published = publish_staging(staging, target).value();
  EXPECT_EQ(read(target / "report"), "before");
  EXPECT_EQ(read(staging / "report"), "after");
  EXPECT_TRUE(kept(published, "report"));
}

TEST_F(StagingTest, NeverFollowsALinkInTheTarget) {
  fs::create_directories(root / "elsewhere");
  fs::create_directory_symlink(root / "elsewhere", target / "sub");
  fs::create_directories(staging / "sub");
  write(staging / "sub/planted", "x");
  const auto published = publish_staging(staging, target).value();
  EXPECT_TRUE(fs::is_empty(root / "elsewhere"));
  EXPECT_TRUE(kept(published, "sub"));
}

TEST_F(StagingTest, KeepsLinksAndSocketsAside) {
  fs::create_symlink("/etc/passwd", staging / "link");
  ::mkfifo((staging / "fifo").c_str(), 0600);
  const auto published = publish_staging(staging, target).value();
  EXPECT_EQ(published.kept_count, 2u);
  EXPECT_TRUE(fs::is_empty(target));
}

TEST_F(StagingTest, NamesTheFirstOfManyThatItKeepsAside) {
  for (int i = 0; i < 100; ++i) fs::create_symlink("/etc/passwd", staging / fmt::format("{:0>250}", i));
  const auto published = publish_staging(staging, target).value();
  EXPECT_EQ(published.kept_count, 100u);
  EXPECT_EQ(published.kept.size(), kKeptNames);
  for (const auto& kept : published.kept) EXPECT_LE(kept.path.size(), kKeptLength + 3);
}

TEST_F(StagingTest, DropsSetIdBits) {
  write(staging / "tool", "x");
  ::chmod((staging / "tool").c_str(), 06755);
  ASSERT_TRUE(publish_staging(staging, target));
  struct stat found;
  ASSERT_EQ(::stat((target / "tool").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0755u);
}

TEST_F(StagingTest, PublishesWhatItsMakerClosed) {
  fs::create_directories(staging / "closed");
  write(staging / "closed/file", "x");
  ::chmod((staging / "closed/file").c_str(), 0);
  ::chmod((staging / "closed").c_str(), 0);
  EXPECT_EQ(publish_staging(staging, target).value().file_count, 1u);
  struct stat found;
  ASSERT_EQ(::stat((target / "closed").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0u);
  ::chmod((target / "closed").c_str(), 0700);
}

TEST_F(StagingTest, CopiesWhatHasSeveralNames) {
  write(staging / "one", "x");
  fs::create_hard_link(staging / "one", staging / "two");
  const auto published = publish_staging(staging, target).value();
  EXPECT_EQ(published.file_count, 2u);
  EXPECT_EQ(fs::hard_link_count(target / "one"), 1u);
}

TEST_F(StagingTest, CopiesHolesAsHoles) {
  write(staging / "one", "begin");
  fs::resize_file(staging / "one", uint64_t{1} << 34);
  std::ofstream(staging / "one", std::ios::app) << "end";
  fs::create_hard_link(staging / "one", staging / "two");
  const auto started = std::chrono::steady_clock::now();
  ASSERT_EQ(publish_staging(staging, target).value().file_count, 2u);
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(5));
  for (const char* name : {"one", "two"}) {
    struct stat found;
    ASSERT_EQ(::stat((target / name).c_str(), &found), 0);
    EXPECT_EQ(found.st_size, (off_t{1} << 34) + 3);
    EXPECT_LT(found.st_blocks * 512, 1 << 20);
    std::ifstream in(target / name);
    std::string text(5, ' ');
    in.read(text.data(), 5);
    EXPECT_EQ(text, "begin");
    in.seekg(-4, std::ios::end);
    in.read(text.data(), 4);
    EXPECT_EQ(text.substr(0, 4), std::string("\0end", 4));
  }
}

TEST_F(StagingTest, BoundsWhatSeveralNamesOfOneFileAdd) {
  const int fd = ::open((staging / "name-0").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  ASSERT_EQ(::posix_fallocate(fd, 0, 100 << 20), 0);
  ::close(fd);
  for (int i = 1; i < 6; ++i) fs::create_hard_link(staging / "name-0", staging / fmt::format("name-{}", i));
  const auto published = publish_staging(staging, target).value();
  EXPECT_EQ(published.file_count, 2u);
  EXPECT_EQ(published.kept_count, 4u);
}

TEST_F(StagingTest, EntersDirectoriesThatExistAndAddsToThem) {
  fs::create_directories(target / "sub");
  write(target / "sub/old", "old");
  fs::create_directories(staging / "sub");
  write(staging / "sub/new", "new");
  ASSERT_TRUE(publish_staging(staging, target));
  EXPECT_EQ(read(target / "sub/new"), "new");
  EXPECT_EQ(read(target / "sub/old"), "old");
}

}  // namespace
}  // namespace stockade::sandbox
