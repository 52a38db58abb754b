#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "cli/arguments.h"
#include "cli/verbs_fixture.h"

namespace stockade::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kPolicy = R"(version: 1
name: inbox
run: { command: [/bin/sh, -c, "true"] }
sandbox: { memory: 512MiB, pids: 256 }
network:
  allow:
    - { host: api.example.com, ports: [443], tls: passthrough }
limits: { time: 300s, requests: 10 }
tests:
  - { connect: "evil.example:443", expect: deny }
)";

TEST(PolicyInit, WritesAPolicyThatChecksAndNeverOverAFileThatIsThere) {
  as_both_users([] {
    const TestPerson person;
    const auto written = said_by([] { return policy_init({"codex", "p.yaml"}); });
    EXPECT_EQ(written.status, 0) << written.err;
    EXPECT_EQ(said_by([] { return policy_check({"p.yaml", false}); }).status, 0);
    person.write("p.yaml", "mine");
    const auto again = said_by([] { return policy_init({"", "p.yaml"}); });
    EXPECT_EQ(again.status, 2);
    EXPECT_THAT(again.err, HasSubstr("p.yaml is there already"));
    EXPECT_EQ(*read_file("p.yaml", 100), "mine");
  });
}

TEST(PolicyInit, NamesThePresetsWhereOneIsUnknown) {
  const TestPerson person;
  const auto said = said_by([] { return policy_init({"codeks", ""}); });
  EXPECT_EQ(said.status, 2);
  EXPECT_THAT(said.err, HasSubstr("codex"));
  EXPECT_EQ(said.out, "");
}

TEST(PolicyCheck, SaysEveryErrorWithItsPlace) {
  const TestPerson person;
  person.write("bad.yaml", "version: 1\nnetwrok: {}\nsandbox: { memory: 5 parsecs }\nlimits: { time: soon }\n");
  const auto said = said_by([] { return policy_check({"bad.yaml", false}); });
  EXPECT_EQ(said.status, 1);
  EXPECT_THAT(said.out, HasSubstr("bad.yaml:2:1"));
  EXPECT_THAT(said.out, HasSubstr("network"));
  EXPECT_THAT(said.out, HasSubstr("bad.yaml:3:"));
  EXPECT_THAT(said.out, HasSubstr("bad.yaml:4:"));
  const auto json = nlohmann::json::parse(said_by([] { return policy_check({"bad.yaml", true}); }).out);
  EXPECT_EQ(json["errors"].size(), 3u);
}

TEST(PolicyCheck, PrintsNothingThatATerminalObeys) {
  const TestPerson person;
  const std::string name = "\x1b]52;c;ZXZpbA==\x07.yaml";
  person.write(name, "version: 1\n");
  const auto said = said_by([&] { return policy_check({name, false}); });
  EXPECT_THAT(said.out, Not(HasSubstr("\x1b")));
  EXPECT_THAT(said.out, Not(HasSubstr("\x07")));
}

TEST(PolicyExplain, SaysWhoHoldsEachLimitAndWhatIsSeen) {
  as_both_users([] {
    const TestPerson person;
    person.write("p.yaml", kPolicy);
    const auto said = said_by([] { return policy_explain({"p.yaml", "", false, false}); });
    EXPECT_EQ(said.status, 0) << said.err << said.out;
    EXPECT_THAT(said.out, testing::ContainsRegex("Memory: 512MiB \\[(hard|polled)"));
    EXPECT_THAT(said.out, testing::ContainsRegex("Time: 300s.* \\[hard: supervisor\\]"));
    EXPECT_THAT(said.out, HasSubstr("What it sees of this machine"));
    const auto json = nlohmann::json::parse(said_by([] { return policy_explain({"p.yaml", "", true, false}); }).out);
    EXPECT_EQ(json["chapters"].back()["title"], "What it sees of this machine");
  });
}

TEST(PolicyExplain, PrintsThePlanOfThePolicysOwnCommand) {
  const TestPerson person;
  person.write("p.yaml", kPolicy);
  const auto said = said_by([] { return policy_explain({"p.yaml", "", false, true}); });
  EXPECT_EQ(said.status, 0) << said.err;
  EXPECT_THAT(said.out, testing::StartsWith("command [/bin/sh] [-c] [true]\n"));
  EXPECT_THAT(said.out, HasSubstr("limit memory 536870912 "));
}

TEST(PolicyExplain, ExplainsAPresetWhoseProgramIsNotInstalled) {
  const TestPerson person;
  const char* old = ::getenv("PATH");
  const std::string path = old ? old : "";
  ::setenv("PATH", "/usr/bin:/bin", 1);
  const auto said = said_by([] { return policy_explain({"", "goose", false, true}); });
  ::setenv("PATH", path.c_str(), 1);
  EXPECT_EQ(said.status, 0) << said.err;
  EXPECT_THAT(said.err, HasSubstr("this is the plan for"));
}

TEST(PolicyExplain, SaysWhyAPolicyCouldNotBeStarted) {
  const TestPerson person;
  person.write("p.yaml", "version: 1\nrun: { command: [no-such-program-anywhere] }\n");
  const auto said = said_by([] { return policy_explain({"p.yaml", "", false, false}); });
  EXPECT_EQ(said.status, 0);
  EXPECT_THAT(said.out, HasSubstr("It could not be started here"));
  EXPECT_NE(said_by([] { return policy_explain({"p.yaml", "", false, true}); }).status, 0);
}

TEST(PolicyTest, FailsWhereATestOfThePolicyFails) {
  const TestPerson person;
  person.write("good.yaml", kPolicy);
  EXPECT_EQ(said_by([] { return policy_test({"good.yaml", false}); }).status, 0);
  person.write("bad.yaml", std::string(kPolicy) + "  - { connect: \"api.example.com:443\", expect: deny }\n");
  const auto said = said_by([] { return policy_test({"bad.yaml", false}); });
  EXPECT_EQ(said.status, 1);
  EXPECT_THAT(said.out, HasSubstr("FAILED connect api.example.com:443"));
}

TEST(PolicyDiff, FailsWhereTheSecondAllowsMore) {
  const TestPerson person;
  person.write("a.yaml", "version: 1\n");
  person.write("b.yaml", kPolicy);
  EXPECT_EQ(said_by([] { return policy_diff({"a.yaml", "b.yaml", false}); }).status, 1);
  EXPECT_EQ(said_by([] { return policy_diff({"a.yaml", "a.yaml", false}); }).status, 0);
}

TEST(PolicyTrust, HoldsForTheseBytesAtThisPlace) {
  as_both_users([] {
    const TestPerson person;
    person.write(".stockade.yaml", "version: 1\nnetwork: { allow: [{ host: api.example.com, tls: passthrough }] }\n");
    const auto reaches = [] { return said_by([] { return policy_explain({"", "", false, false}); }).out; };
    EXPECT_THAT(reaches(), HasSubstr("Nothing outside can be reached"));
    EXPECT_EQ(said_by([] { return policy_trust({".stockade.yaml"}); }).status, 0);
    EXPECT_THAT(reaches(), HasSubstr("api.example.com"));
    person.write(".stockade.yaml", "version: 1\nnetwork: { allow: [{ host: other.example.com, tls: passthrough }] }\n");
    EXPECT_THAT(reaches(), HasSubstr("Nothing outside can be reached"));
    EXPECT_EQ(said_by([] { return policy_trust({"missing.yaml"}); }).status, 1);
  });
}

}  // namespace
}  // namespace stockade::cli
