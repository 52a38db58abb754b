#include "policy/reports.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "policy/diff.h"

namespace stockade::policy {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Reports : public ::testing::Test {
 protected:
  Reports() {
    char name[] = "/tmp/stockade-reports-XXXXXX";
    root_ = fs::canonical(::mkdtemp(name));
    s_.home = root_ / "home";
    s_.cwd = root_ / "home/project";
    s_.state_dir = root_ / "state";
    s_.config_dir = root_ / "config";
    s_.runtime_dir = root_ / "run";
    s_.system_policy = root_ / "etc/policy.yaml";
    s_.uid = ::geteuid();
    s_.memory = uint64_t{8} << 30;
    s_.cpus = 4;
    fs::create_directories(s_.cwd);
  }
  ~Reports() override { fs::remove_all(root_); }

  std::string put(const std::string& name, const std::string& text) {
    std::ofstream(root_ / name) << "version: 1\n" << text;
    return root_ / name;
  }
  std::string explained(const std::string& text, std::span<const LimitStrength> strengths = {}) {
    const Report report = explain_report(put("e.yaml", text), strengths, s_);
    EXPECT_TRUE(report.ok) << report.text;
    EXPECT_TRUE(nlohmann::json::accept(report.json));
    return report.text;
  }
  std::vector<Change> changes(const std::string& a, const std::string& b) {
    const Layered before = inspect(put("a.yaml", a), s_);
    const Layered after = inspect(put("b.yaml", b), s_);
    EXPECT_TRUE(before.usable()) << render(before.errors);
    EXPECT_TRUE(after.usable()) << render(after.errors);
    return compare(before.policy, after.policy, s_);
  }

  fs::path root_;
  Surroundings s_;
};

TEST_F(Reports, ExplainEachDefaultThatApplies) {
  const std::string text = explained("name: nothing\n");
  for (const char* sentence :
       {"Any program that is visible may be started", "Memory: half of the machine's, 4096 MiB (default)",
        "CPUs: all (default)", "Processes and threads: 4096 (default)", "10 GiB (default)",
        "Nothing outside can be reached (default: no `network`)", "No file of yours is mounted (default: no `files`)",
        "No variable of yours is passed (default)",
        "No limit (default) on time, requests, connections, names, bytes sent and refusals",
        "refused without an event"})
    EXPECT_THAT(text, HasSubstr(sentence));
}

TEST_F(Reports, ExplainWallByWall) {
  const std::vector<LimitStrength> strengths = {{"memory", Strength::polled, "supervisor"},
                                                {"pids", Strength::hard, "user namespace"},
                                                {"cpus", Strength::refused, ""}};
  const std::string text = explained(R"(tools: { programs: { allow: [git] } }
sandbox: { memory: 512MiB, strictness: hard, env: { pass: [{ name: GH_TOKEN, reason: "to push" }] } }
network:
  allow:
    - { host: "*.b.example", tls: passthrough, programs: [git] }
    - { host: c.example, ports: [80], protocol: http, methods: [GET], paths: [/x/**] }
    - { host: d.example }
  deny: [{ host: gist.b.example }]
files:
  - { host: "~", at: /h, access: read, reason: all }
  - { host: /out, access: write-only }
  - { host: "**/.env", access: hide }
limits: { time: 300s }
)",
                                     strengths);
  for (const char* sentence :
       {"Only these programs are there: git.", "Memory: 512MiB [polled: supervisor]", "[hard: user namespace]",
        "[refused: nothing can hold it here]", "Strictness is hard", "GH_TOKEN is passed (\"to push\")",
        "*.b.example, port 443: TLS that passes through, or plain HTTP; only from git (a guard",
        "c.example, port 80: plain HTTP, whose Host, method and path are judged; only GET; only paths /x/**",
        "d.example, port 443: TLS that is opened, or plain HTTP; Host, method and path are judged; any method and path "
        "(default)",
        "Not seen there: methods, paths, another host named inside TLS, secrets in requests",
        "Never gist.b.example, every port.", "/out can be written only: it looks empty", "**/.env is hidden",
        "Time: 300s; then the run is killed", "What is broad", "your home directory",
        "covers every host of that domain", "is a credential inside the sandbox"})
    EXPECT_THAT(text, HasSubstr(sentence));
}

TEST_F(Reports, ListEveryErrorOfACheckInTextAndJson) {
  const Report report = check_report(put("bad.yaml", "sandbox: { memry: 1GiB }\nrules: []\n"), s_);
  EXPECT_FALSE(report.ok);
  EXPECT_THAT(report.text, HasSubstr("bad.yaml:2:12: unknown key \"memry\" in `sandbox`; did you mean `memory`?"));
  const auto json = nlohmann::json::parse(report.json);
  EXPECT_EQ(json["errors"].size(), 2u);
  EXPECT_EQ(json["errors"][0]["line"], 2);
  EXPECT_EQ(json["errors"][1]["not_built_yet"], true);
  const Report good = check_report(put("good.yaml", "tests: [{ exec: git, expect: allow }]\n"), s_);
  EXPECT_TRUE(good.ok) << good.text;
  EXPECT_EQ(nlohmann::json::parse(good.json)["sha256"].get<std::string>().size(), 64u);
}

TEST_F(Reports, TellWhatIsNotBuiltFromWhatIsWrong) {
  EXPECT_EQ(as_error(inspect(put("a.yaml", "rules: []\n"), s_)).kind(), ErrorKind::unavailable);
  const Error error = as_error(inspect(put("a.yaml", "rules: []\nnme: x\nfoo: 1\n"), s_));
  EXPECT_EQ(error.kind(), ErrorKind::invalid_input);
  for (const char* each : {"rules", "nme", "foo"}) EXPECT_THAT(error.render(), HasSubstr(each));
}

TEST_F(Reports, ShowTestsThatFail) {
  const Report report = test_report(
      put("t.yaml", "tests: [{ exec: git, expect: deny }, { connect: \"a.example:1\", expect: deny }]\n"), s_);
  EXPECT_FALSE(report.ok);
  EXPECT_THAT(report.text, HasSubstr("FAILED exec git → deny"));
  EXPECT_THAT(report.text, HasSubstr("1 of 2 tests passed"));
  EXPECT_EQ(nlohmann::json::parse(report.json)["tests"].size(), 2u);
}

TEST_F(Reports, RefuseToTrustWhatDoesNotLoad) {
  EXPECT_FALSE(trust_report(put("t.yaml", "nonsense: 1\n"), s_).ok);
  EXPECT_FALSE(trust_report(root_ / "none.yaml", s_).ok);
  fs::create_symlink(put("t.yaml", ""), root_ / "link.yaml");
  EXPECT_FALSE(trust_report(root_ / "link.yaml", s_).ok);
  EXPECT_FALSE(fs::exists(s_.trust_dir()));
}

struct Difference {
  const char* name;
  const char* before;
  const char* after;
  bool widens;
  const char* text;
};
void PrintTo(const Difference& difference, std::ostream* out) { *out << difference.name; }

class Differences : public Reports, public ::testing::WithParamInterface<Difference> {};

TEST_P(Differences, AreSaidInBothDirections) {
  const auto forward = changes(GetParam().before, GetParam().after);
  ASSERT_FALSE(forward.empty());
  EXPECT_EQ(widens(forward), GetParam().widens);
  std::string all;
  for (const Change& change : forward) all += change.text + "\n";
  EXPECT_THAT(all, HasSubstr(GetParam().text));
  EXPECT_TRUE(changes(GetParam().before, GetParam().before).empty());
}

#define NET(rules) "network: { allow: [" rules "] }\n"
INSTANTIATE_TEST_SUITE_P(
    Policies, Differences,
    ::testing::Values(
        Difference{"new_host", "", NET("{ host: a.example }"), true, "a.example port 443 can be reached"},
        Difference{"no_longer_read", NET("{ host: a.example, protocol: tcp }"),
                   NET("{ host: a.example, protocol: tcp, tls: passthrough }"), true, "can be reached, unread"},
        Difference{"read_from_now_on", NET("{ host: a.example, protocol: tcp, tls: passthrough }"),
                   NET("{ host: a.example, protocol: redis }"), false, "can no longer be reached"},
        Difference{"another_protocol", NET("{ host: a.example, protocol: mysql }"),
                   NET("{ host: a.example, protocol: redis }"), true, "redis can be reached"},
        Difference{"host_gone", NET("{ host: a.example, tls: passthrough }"), "", false, "can no longer be reached"},
        Difference{"wildcard_to_host", NET("{ host: \"*.b.example\", tls: passthrough }"),
                   NET("{ host: a.b.example, tls: passthrough }"), false, "*.b.example"},
        Difference{"port_added", NET("{ host: a.example, tls: passthrough }"),
                   NET("{ host: a.example, ports: [443, 80], tls: passthrough }"), true, "port 443 and 80"},
        Difference{"no_longer_opened", NET("{ host: a.example }"), NET("{ host: a.example, tls: passthrough }"), true,
                   "a.example port 443, TLS passing through can be reached"},
        Difference{"opened", NET("{ host: a.example, tls: passthrough }"), NET("{ host: a.example }"), false,
                   "TLS passing through can no longer be reached"},
        Difference{"method_limited", NET("{ host: a.example, protocol: http }"),
                   NET("{ host: a.example, protocol: http, methods: [GET] }"), false, "no longer"},
        Difference{"path_widened", NET("{ host: a.example, protocol: http, paths: [/v1/a] }"),
                   NET("{ host: a.example, protocol: http, paths: [/v1/**] }"), true, "/v1/**"},
        Difference{"private_inside_everything", NET("{ address: 0.0.0.0/0, tls: passthrough }"),
                   NET("{ address: 0.0.0.0/0, tls: passthrough }, { address: 10.0.0.0/8, tls: passthrough }"), true,
                   "10.0.0.0/8"},
        Difference{"resolves_into_private", NET("{ host: a.example, tls: passthrough }"),
                   NET("{ host: a.example, tls: passthrough, addresses: [10.0.0.0/8] }"), true, "a.example"},
        Difference{"deny_gone", "network: { deny: [{ host: a.example }] }\n", "", true, "no longer denied"},
        Difference{"read_to_write", "files: [{ host: /d, access: read }]\n", "files: [{ host: /d, access: write }]\n",
                   true, "(write) instead of read"},
        Difference{"write_to_read", "files: [{ host: /d, access: write }]\n", "files: [{ host: /d, access: read }]\n",
                   false, "no longer mounted with access write"},
        Difference{"below_a_mount", "files: [{ host: /d, access: write }]\n", "files: [{ host: /d/e, access: read }]\n",
                   false, "/d is no longer mounted"},
        Difference{"inner_read_only_gone", "files: [{ host: /d, access: write }, { host: /d/e, access: read }]\n",
                   "files: [{ host: /d, access: write }]\n", true, "/d/e falls to the entry for /d"},
        Difference{"hide_gone", "files: [{ host: /d, access: write }, { host: \"**/.env\", access: hide }]\n",
                   "files: [{ host: /d, access: write }]\n", true, "no longer hidden"},
        Difference{"moved", "files: [{ host: /d, access: read }]\n",
                   "files: [{ host: /d, at: /usr/bin, access: read }]\n", true, "stands at /usr/bin"},
        Difference{"default_memory_raised", "", "sandbox: { memory: 6GiB }\n", true,
                   "memory: 6GiB instead of 4GiB (default)"},
        Difference{"limit_gone", "limits: { time: 1h }\n", "", true, "time: no limit instead of 1h"},
        Difference{"program_added", "tools: { programs: { allow: [a] } }\n", "tools: { programs: { allow: [a, b] } }\n",
                   true, "program b"},
        Difference{"list_gone", "tools: { programs: { allow: [a] } }\n", "", true, "any visible program"},
        Difference{"variable", "", "sandbox: { env: { pass: [TERM] } }\n", true, "TERM is passed"},
        Difference{"strictness", "sandbox: { strictness: hard }\n", "", true, "polled"}),
    [](const auto& info) { return info.param.name; });

TEST_F(Reports, SayWhenADiffWidens) {
  const Report report = diff_report(put("a.yaml", ""), put("b.yaml", NET("{ host: a.example, tls: passthrough }")), s_);
  EXPECT_FALSE(report.ok);
  EXPECT_THAT(report.text, HasSubstr("allows more than"));
  EXPECT_EQ(nlohmann::json::parse(report.json)["widens"], true);
  EXPECT_THAT(diff_report(root_ / "a.yaml", root_ / "a.yaml", s_).text, HasSubstr("They allow the same."));
}

}  // namespace
}  // namespace stockade::policy
