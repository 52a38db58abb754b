#include "sandbox/persistence_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sandbox/view_fixture.h"

namespace stockade::sandbox {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Change = PersistenceWatch::Change;
using Finding = PersistenceWatch::Finding;

constexpr const char* kWork = "/home/ada/work";

TEST(PersistenceWatch, NamesWhatWasMadeChangedAndRemoved) {
  FakeHost host;
  const std::string work = std::string(kWork) + "/";
  host.file(work + "Makefile", "all:");
  host.file(work + "sub/package.json", "{}");
  host.file(work + ".git/config", "[core]");
  host.file(work + "CLAUDE.md", "be nice");
  host.file(work + "src/main.c", "int main");
  const auto watch = PersistenceWatch::before(host.tree(), kWork);
  host.file(work + "Makefile", "all: evil");
  host.file(work + ".git/config", "[core] hooksPath = /tmp");
  host.file(work + ".git/hooks/post-checkout", "evil");
  host.file(work + ".github/workflows/ci.yml", "evil");
  host.file(work + "new/.git/hooks/pre-commit", "evil");
  host.file(work + "src/main.c", "int evil");
  host.remove(work + "CLAUDE.md");
  const auto report = watch.after(host.tree());
  EXPECT_THAT(report.findings,
              ElementsAre(Finding{".git/config", Change::changed}, Finding{".git/hooks/post-checkout", Change::made},
                          Finding{".github/workflows/ci.yml", Change::made}, Finding{"CLAUDE.md", Change::removed},
                          Finding{"Makefile", Change::changed}, Finding{"new/.git/hooks/pre-commit", Change::made}));
  EXPECT_TRUE(report.complete);
  EXPECT_EQ(to_text({report.findings[0], report.findings[1]}), ".git/config changed, .git/hooks/post-checkout made");
}

TEST(PersistenceWatch, SeesRepositoriesThatGitFindsWithoutADirectoryCalledGit) {
  FakeHost host;
  const std::string work = std::string(kWork) + "/";
  host.file(work + "src/main.c", "int main");
  const auto watch = PersistenceWatch::before(host.tree(), kWork);
  host.file(work + "src/.git", "gitdir: ../elsewhere");
  host.link(work + "doc/.git", "../elsewhere");
  host.file(work + "bare/HEAD", "ref: refs/heads/main");
  host.make_directory(work + "bare/objects");
  host.make_directory(work + "bare/refs");
  host.file(work + "bare/config", "[core] fsmonitor = evil");
  host.file(work + "bare/hooks/post-receive", "evil");
  host.file(work + "other/HEAD", "no repository");
  host.file(work + "other/config", "nor this");
  EXPECT_THAT(watch.after(host.tree()).findings,
              ElementsAre(Finding{"bare/config", Change::made}, Finding{"bare/hooks/post-receive", Change::made},
                          Finding{"doc/.git", Change::made}, Finding{"src/.git", Change::made}));
}

TEST(PersistenceWatch, NamesTheFirstOfManyAndCountsTheRest) {
  std::vector<Finding> findings;
  for (int i = 0; i < 100'000; ++i) findings.push_back({std::string(3000, 'x'), Change::made});
  const std::string text = to_text(findings);
  EXPECT_LT(text.size(), 6000u);
  EXPECT_TRUE(text.ends_with(", and 99980 more"));
}

TEST(PersistenceWatch, IsSilentAboutARewriteWithTheSameBytes) {
  FakeHost host;
  host.file(std::string(kWork) + "/package.json", "{}");
  const auto watch = PersistenceWatch::before(host.tree(), kWork);
  host.remove(std::string(kWork) + "/package.json");
  host.file(std::string(kWork) + "/package.json", "{}");
  EXPECT_THAT(watch.after(host.tree()).findings, IsEmpty());
}

TEST(PersistenceWatch, SeesAChangeOfALargeFileWhoseTimesWereSetBack) {
  FakeHost host;
  const std::string path = std::string(kWork) + "/Makefile";
  host.file(path, std::string(20'000, 'a'));
  const auto watch = PersistenceWatch::before(host.tree(), kWork);
  struct stat status{};
  ASSERT_EQ(::stat((host.root() + path).c_str(), &status), 0);
  // ctime has the resolution of a tick: wait for the clock of the file system to move on.
  struct stat now = status;
  while (now.st_ctim.tv_sec == status.st_ctim.tv_sec && now.st_ctim.tv_nsec == status.st_ctim.tv_nsec) {
    host.file(path, std::string(20'000, 'b'));
    ASSERT_EQ(::stat((host.root() + path).c_str(), &now), 0);
  }
  const timespec times[2] = {status.st_atim, status.st_mtim};
  ASSERT_EQ(::utimensat(AT_FDCWD, (host.root() + path).c_str(), times, 0), 0);
  EXPECT_THAT(watch.after(host.tree()).findings, ElementsAre(Finding{"Makefile", Change::changed}));
}

TEST(PersistenceWatch, SeesALinkInAFilesPlaceAndAModeThatMakesItRun) {
  FakeHost host;
  host.file(std::string(kWork) + "/AGENTS.md", "x");
  host.file(std::string(kWork) + "/configure", "x", 0644);
  const auto watch = PersistenceWatch::before(host.tree(), kWork);
  host.remove(std::string(kWork) + "/AGENTS.md");
  host.link(std::string(kWork) + "/AGENTS.md", "/tmp/evil");
  ::chmod((host.root() + kWork + "/configure").c_str(), 0755);
  EXPECT_THAT(watch.after(host.tree()).findings,
              ElementsAre(Finding{"AGENTS.md", Change::changed}, Finding{"configure", Change::changed}));
}

TEST(RunsLater, KnowsTheFilesThatRunByThemselves) {
  for (const char* path :
       {"Makefile", "a/b/package.json", ".git/config", "x/.git/hooks/pre-commit", ".github/workflows/x.yml",
        ".vscode/tasks.json", ".claude/settings.json", "AGENTS.md", "lib/x.pth", ".cargo/config.toml"}) {
    EXPECT_TRUE(runs_later(path)) << path;
  }
  for (const char* path :
       {"main.c", ".git/HEAD", ".git/hooks/pre-commit.sample", "docs/Makefile.md", ".github/CODEOWNERS"}) {
    EXPECT_FALSE(runs_later(path)) << path;
  }
}

}  // namespace
}  // namespace stockade::sandbox
