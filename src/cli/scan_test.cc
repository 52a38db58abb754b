#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/arguments.h"
#include "cli/verbs_fixture.h"

namespace stockade::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kToken = "glpat-Zk82hdKq01mmXv93bQwe";  // made up

Said scan_of(std::vector<std::string> paths, bool json = false, bool sarif = false) {
  return said_by([&] { return scan({.json = json, .sarif = sarif, .paths = paths}); });
}

TEST(Scan, NamesFileLineAndColumnAndNeverTheSecret) {
  as_both_users([] {
    const TestPerson person;
    person.write("clean.txt", "nothing to see\n");
    person.write("app.env", "# two lines\nNAME=x\nGITLAB_TOKEN=" + std::string(kToken) + "\n");
    EXPECT_EQ(scan_of({"clean.txt"}).status, 0);
    const auto said = scan_of({"clean.txt", "app.env"});
    EXPECT_EQ(said.status, 1);
    EXPECT_EQ(said.out, "app.env:3:14: gitlab-personal-access-token: GitLab personal access token (glpa…(26))\n");
    EXPECT_THAT(said.out, Not(HasSubstr("Zk82")));
  });
}

TEST(Scan, WalksDirectoriesInOrderAndFollowsNoLink) {
  const TestPerson person;
  ::mkdir("tree", 0700);
  ::mkdir("tree/.git", 0700);
  person.write("tree/b", std::string(kToken));
  person.write("tree/a", "x\n" + std::string(kToken));
  person.write("tree/.git/c", std::string(kToken));
  std::filesystem::create_symlink("..", "tree/up");
  const auto json = nlohmann::json::parse(scan_of({"tree"}, true).out);
  EXPECT_EQ(json["files"], 2);
  ASSERT_EQ(json["findings"].size(), 2u);
  EXPECT_EQ(json["findings"][0]["file"], "tree/a");
  EXPECT_EQ(json["findings"][0]["line"], 2);
  EXPECT_EQ(json["findings"][0]["fingerprint"], json["findings"][1]["fingerprint"]);
  EXPECT_EQ(json["findings"][1]["file"], "tree/b");
}

TEST(Scan, FindsWhatIsFarIntoALongFile) {
  const TestPerson person;
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += "a line of some length\n";
  person.write("long", text + "  " + std::string(kToken) + "\n" + text);
  EXPECT_THAT(scan_of({"long"}).out, HasSubstr("long:20001:3: "));
}

TEST(Scan, WritesSarif) {
  const TestPerson person;
  person.write("a b", "token: " + std::string(kToken));
  const auto sarif = nlohmann::json::parse(scan_of({"a b"}, false, true).out);
  EXPECT_EQ(sarif["version"], "2.1.0");
  const auto& run = sarif["runs"][0];
  EXPECT_EQ(run["tool"]["driver"]["rules"][0]["id"], "gitlab-personal-access-token");
  const auto& result = run["results"][0];
  EXPECT_EQ(result["ruleIndex"], 0);
  EXPECT_EQ(result["level"], "error");
  const auto& place = result["locations"][0]["physicalLocation"];
  EXPECT_EQ(place["artifactLocation"]["uri"], "a%20b");
  EXPECT_EQ(place["region"]["startLine"], 1);
  EXPECT_EQ(place["region"]["startColumn"], 8);
  EXPECT_EQ(nlohmann::json::parse(scan_of({"/dev/null"}, false, true).out)["runs"][0]["results"].size(), 0u);
}

TEST(Scan, ReadsAPipe) {
  const TestPerson person;
  auto pipe = make_pipe();
  ASSERT_TRUE(pipe);
  ASSERT_TRUE(write_all(pipe->write.get(), kToken));
  pipe->write.reset();
  auto child = fork_child([&] {
    ::dup2(pipe->read.get(), STDIN_FILENO);
    const auto said = scan_of({"-"});
    EXPECT_THAT(said.out, HasSubstr("<stdin>:1:1: "));
    return testing::Test::HasFailure() ? 9 : said.status;
  });
  ASSERT_TRUE(child);
  EXPECT_EQ(child->wait()->code, 1);
}

TEST(Scan, SaysWhatIsUsedWrongly) {
  const TestPerson person;
  const auto missing = scan_of({"nowhere"});
  EXPECT_EQ(missing.status, 2);
  EXPECT_THAT(missing.err, HasSubstr("nowhere"));
  EXPECT_EQ(said_by([] { return scan({.direction = "up"}); }).status, 2);
  EXPECT_EQ(said_by([] { return scan({.kind = "poetry"}); }).status, 2);
}

}  // namespace
}  // namespace stockade::cli
