#include "policy/decision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "policy/floor.h"
#include "policy/glob.h"
#include "policy/judge_files.h"
#include "policy/load.h"
#include "policy/run_tests.h"

namespace stockade::policy {
namespace {

using ::testing::HasSubstr;

Policy load(std::string_view text) {
  Surroundings surroundings;
  surroundings.home = "/home/ada";
  surroundings.cwd = "/work";
  LoadOutcome outcome = load_policy("version: 1\n" + std::string(text), "p.yaml", surroundings);
  EXPECT_TRUE(outcome.errors.empty()) << render(outcome.errors);
  return std::move(outcome.policy);
}

TEST(CanonicalHost, TakesNamesInLdhFormOnly) {
  EXPECT_EQ(canonical_host("API.Example.COM."), "api.example.com");
  EXPECT_EQ(canonical_host("_dmarc.example"), "_dmarc.example");
  EXPECT_EQ(canonical_host("xn--bcher-kva.example"), "xn--bcher-kva.example");
  EXPECT_EQ(canonical_host("1.2.3.4.nip.example"), "1.2.3.4.nip.example");
  for (const char* name : {"", ".", "a..b", ".a", "-a.example", "a-.example", "a b", "a/b", "a%2eb", "a:443",
                           "b\xc3\xbc", "a.example..", "*.example", "a\n"})
    EXPECT_FALSE(canonical_host(name)) << name;
  EXPECT_FALSE(canonical_host(std::string(64, 'a') + ".example"));
  EXPECT_TRUE(canonical_host(std::string(63, 'a') + ".example"));
  std::string longest;
  for (int i = 0; i < 127; ++i) longest += "a.";
  EXPECT_FALSE(canonical_host(longest + "bb"));
  EXPECT_TRUE(canonical_host(longest.substr(0, 253)));
}

TEST(CanonicalHost, RefusesEverySpellingOfAnAddress) {
  for (const char* name : {"127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "0X7F.0.0.1",
                           "127.0.0.1.", "1.2.3.0x4", "[::1]", "::1", "0x", "example.123", "1"})
    EXPECT_FALSE(canonical_host(name)) << name;
}

TEST(HostPattern, NeedsAtLeastOneLabelInFront) {
  EXPECT_TRUE(host_matches("*.example.com", "a.example.com"));
  EXPECT_TRUE(host_matches("*.example.com", "a.b.example.com"));
  EXPECT_FALSE(host_matches("*.example.com", "example.com"));
  EXPECT_FALSE(host_matches("*.example.com", "notexample.com"));
  EXPECT_FALSE(host_matches("example.com", "a.example.com"));
}

TEST(Glob, KeepsOneStarWithinItsSegment) {
  EXPECT_TRUE(path_matches("/v1/**", "/v1/a/b"));
  EXPECT_TRUE(path_matches("/v1/**", "/v1/"));
  EXPECT_FALSE(path_matches("/v1/**", "/v1"));
  EXPECT_FALSE(path_matches("/v1/**", "/v10/a"));
  EXPECT_TRUE(path_matches("/a/*/c", "/a/b/c"));
  EXPECT_FALSE(path_matches("/a/*/c", "/a/b/b/c"));
  EXPECT_TRUE(path_matches("/a/**/c", "/a/c"));
  EXPECT_TRUE(path_matches("/a/**/c", "/a/x/y/c"));
  EXPECT_FALSE(path_matches("/a/**/c", "/a/x/y/cc"));
  EXPECT_TRUE(path_matches("/**/x/**/y/*.txt", "/1/x/2/3/y/z.txt"));
  EXPECT_TRUE(glob_matches("**/.env", "/a/b/.env"));
  EXPECT_TRUE(hide_matches("**/.git/hooks", "/w/.git/hooks/pre-commit"));
  EXPECT_FALSE(hide_matches("**/.env", "/w/.envrc"));
  EXPECT_TRUE(glob_matches("/f?o", "/fxo"));
  EXPECT_FALSE(glob_matches("/f?o", "/f/o"));
}

TEST(Glob, StaysFastOnHostilePatterns) {
  std::string glob = "/", path = "/";
  for (int i = 0; i < 500; ++i) glob += "*a";
  path += std::string(4000, 'a') + "b";
  EXPECT_FALSE(glob_matches(glob, path));
  std::string deep_glob, deep_path;
  for (int i = 0; i < 60; ++i) deep_glob += "/**/a";
  for (int i = 0; i < 2000; ++i) deep_path += "/a";
  EXPECT_FALSE(glob_matches(deep_glob + "/b", deep_path));
}

TEST(Connect, TakesTheRuleForTheVeryNameAndTheOneThatOpensTls) {
  const Policy policy = load(R"(network:
  allow:
    - { host: "*.b.example", tls: passthrough }
    - { host: "*.z.b.example" }
    - { host: pinned.b.example, tls: passthrough }
    - { host: open.b.example }
    - { host: "*.c.b.example" }
)");
  const Network& network = policy.network;
  EXPECT_EQ(judge_connect(network, "pinned.b.example", 443).rule, 2);
  EXPECT_EQ(judge_connect(network, "open.b.example", 443).rule, 3);
  EXPECT_EQ(judge_connect(network, "x.b.example", 443).rule, 0);
  EXPECT_EQ(judge_connect(network, "x.c.b.example", 443).rule, 4);
}

TEST(Connect, LetsDenyBeatAllowWhateverTheOrder) {
  const Policy policy = load(R"(network:
  allow:
    - { host: "*.example.com", ports: [443, 8000-8010], tls: passthrough }
    - { host: db.internal, ports: [5432], protocol: tcp }
  deny:
    - { host: gist.example.com }
    - { host: api.example.com, ports: [8000] }
)");
  const Network& network = policy.network;
  EXPECT_EQ(judge_connect(network, "api.example.com", 443).action, Action::allow);
  EXPECT_EQ(judge_connect(network, "api.example.com", 443).rule, 0);
  EXPECT_EQ(judge_connect(network, "db.internal", 5432).rule, 1);
  const Verdict denied = judge_connect(network, "gist.example.com", 443);
  EXPECT_EQ(denied.action, Action::deny);
  EXPECT_TRUE(denied.by_deny_rule);
  EXPECT_EQ(denied.rule, 0);
  EXPECT_EQ(denied.where.line, 7);
  EXPECT_EQ(judge_connect(network, "api.example.com", 8000).action, Action::deny);
  EXPECT_EQ(judge_connect(network, "api.example.com", 8001).action, Action::allow);
  EXPECT_THAT(judge_connect(network, "api.example.com", 80).reason, HasSubstr("not port 80"));
  const Verdict unknown = judge_connect(network, "evil.example", 443);
  EXPECT_EQ(unknown.rule, -1);
  EXPECT_THAT(unknown.reason, HasSubstr("no rule of network.allow names evil.example"));
  EXPECT_EQ(unknown.where.line, 3);
  EXPECT_EQ(judge_connect(Network{}, "a.example", 443).action, Action::deny);
}

TEST(Connect, OpensForbiddenRangesOnlyWhereARuleNamesThem) {
  const Policy policy = load(R"(network:
  allow:
    - { address: 0.0.0.0/0, tls: passthrough }
    - { address: 10.1.0.0/16, tls: passthrough }
    - { address: 169.254.0.0/16, tls: passthrough }
    - { address: "fd00:ec2::254", ports: [80], protocol: http }
)");
  const auto action = [&](const char* address, uint16_t port) {
    return judge_connect(policy.network, *IpAddress::parse(address), port).action;
  };
  EXPECT_EQ(action("93.184.216.34", 443), Action::allow);
  EXPECT_EQ(action("93.184.216.34", 80), Action::deny);
  EXPECT_EQ(action("10.1.2.3", 443), Action::allow);
  EXPECT_EQ(action("10.2.2.3", 443), Action::deny);
  EXPECT_EQ(action("127.0.0.1", 443), Action::deny);
  EXPECT_EQ(action("169.254.1.1", 443), Action::allow);
  EXPECT_EQ(action("169.254.169.254", 443), Action::deny);
  EXPECT_EQ(action("fd00:ec2::254", 80), Action::allow);
  EXPECT_EQ(action("::ffff:10.1.2.3", 443), Action::deny);
  EXPECT_THAT(judge_connect(policy.network, *IpAddress::parse("192.168.1.1"), 443).reason,
              HasSubstr("private network"));
}

TEST(Connect, FindsTheDenyRuleOfAnAddressThatANameLedTo) {
  const Policy policy = load(
      "network: { allow: [{ address: 0.0.0.0/0, tls: passthrough }], deny: [{ address: 93.184.0.0/16, ports: [443] }] "
      "}\n");
  EXPECT_EQ(denied_address(policy.network, *IpAddress::parse("93.184.1.1"), 443), &policy.network.deny[0]);
  EXPECT_EQ(denied_address(policy.network, *IpAddress::parse("93.184.1.1"), 80), nullptr);
  const Verdict verdict = judge_connect(policy.network, *IpAddress::parse("93.184.1.1"), 443);
  EXPECT_TRUE(verdict.by_deny_rule);
  EXPECT_EQ(verdict.rule, 0);
}

TEST(Request, PassesWhenOneRuleAdmitsMethodAndPath) {
  const Policy policy = load(R"(network:
  allow:
    - { host: api.example, ports: [80], protocol: http, methods: [GET], paths: [/v1/**] }
    - { host: api.example, ports: [80], protocol: http, methods: [POST], paths: [/v1/items] }
  deny:
    - { host: api.example, methods: [GET], paths: [/v1/secret/**] }
)");
  const auto action = [&](const char* method, const char* path) {
    return judge_request(policy.network, "api.example", 80, method, path).action;
  };
  EXPECT_EQ(action("GET", "/v1/a"), Action::allow);
  EXPECT_EQ(action("POST", "/v1/items"), Action::allow);
  EXPECT_EQ(action("POST", "/v1/a"), Action::deny);
  EXPECT_EQ(action("DELETE", "/v1/items"), Action::deny);
  EXPECT_EQ(action("GET", "/v1/secret/x"), Action::deny);
  EXPECT_EQ(action("GET", "/v2/a"), Action::deny);
  // A deny rule for requests leaves the connection alone.
  EXPECT_EQ(judge_connect(policy.network, "api.example", 80).action, Action::allow);
}

TEST(Graphql, IsAdmittedByOperationAndTopLevelFields) {
  const Policy policy = load(R"(network:
  allow:
    - { host: api.example, ports: [80], protocol: http, paths: [/graphql], graphql: { operations: [query], fields: [viewer] } }
    - { host: api.example, ports: [80], protocol: http, methods: [GET], paths: [/v1/**] }
)");
  const auto rules = admitting_rules(policy.network, "api.example", 80, "POST", "/graphql");
  ASSERT_EQ(rules.size(), 1u);
  const GraphqlLimit& limit = *rules[0]->graphql;
  EXPECT_TRUE(admits_graphql(limit, "query", {"__typename", "viewer"}));
  EXPECT_FALSE(admits_graphql(limit, "query", {"viewer", "users"}));
  EXPECT_FALSE(admits_graphql(limit, "query", {"__schema"}));
  EXPECT_FALSE(admits_graphql(limit, "mutation", {"viewer"}));
  EXPECT_TRUE(admits_graphql({{"mutation"}, {}}, "mutation", {"anything"}));
  EXPECT_EQ(to_string(limit), "GraphQL: query, with the fields viewer");
}

TEST(Ask, BeatsAllowWhateverTheOrderAndDenyBeatsAsk) {
  const Policy policy = load(R"(network:
  allow:
    - { host: api.example.com, tls: passthrough }
    - { host: "*.example.com", tls: passthrough, ask: true }
    - { address: 192.0.2.0/24, tls: passthrough, ask: true }
  deny: [{ host: evil.example.com }]
)");
  EXPECT_EQ(judge_connect(policy.network, "api.example.com", 443).action, Action::ask);
  EXPECT_EQ(judge_connect(policy.network, "api.example.com", 443).rule, 1);
  EXPECT_EQ(judge_connect(policy.network, "evil.example.com", 443).action, Action::deny);
  EXPECT_TRUE(asks(policy.network));
  EXPECT_TRUE(asks_at_connect(policy.network.allow[2]));
  EXPECT_FALSE(asks(load("network: { allow: [{ host: a.example, tls: passthrough }] }\n").network));
}

TEST(Ask, WithMethodsOrPathsIsAboutTheRequestAndLeavesTheConnectionAlone) {
  const Policy policy = load(R"(network:
  allow:
    - { host: api.example, ports: [80], protocol: http, methods: [GET] }
    - { host: api.example, ports: [80], protocol: http, methods: [POST], ask: true }
    - { host: api.example, ports: [80], protocol: http, paths: [/admin/**], ask: true }
)");
  const auto action = [&](const char* method, const char* path) {
    return judge_request(policy.network, "api.example", 80, method, path).action;
  };
  EXPECT_EQ(judge_connect(policy.network, "api.example", 80).action, Action::allow);
  EXPECT_EQ(action("GET", "/"), Action::allow);
  EXPECT_EQ(action("POST", "/"), Action::ask);
  EXPECT_EQ(action("GET", "/admin/x"), Action::ask);
  EXPECT_EQ(action("DELETE", "/"), Action::deny);
}

TEST(Ask, IsAResultThatThePolicysTestsCanExpect) {
  const Policy policy = load(R"(network: { allow: [{ host: a.example, tls: passthrough, ask: true }] }
tests:
  - { connect: "a.example:443", expect: ask }
  - { connect: "a.example:443", expect: allow }
  - { connect: "a.example:443", expect: deny }
)");
  const auto results = run_tests(policy);
  ASSERT_EQ(results.size(), 3u);
  EXPECT_TRUE(results[0].passed);
  EXPECT_FALSE(results[1].passed);
  EXPECT_FALSE(results[2].passed);
}

TEST(Files, AreJudgedByTheLongestMountAndHiddenBeatsAll) {
  const Policy policy = load(R"(files:
  - { host: /srv/project, at: /work, access: write }
  - { host: /srv/reference, at: /work/reference, access: read }
  - { host: /srv/out, at: /out, access: write-only }
  - { host: "**/.env", access: hide }
  - { host: /srv/project/keys, access: hide }
)");
  EXPECT_EQ(judge_read(policy, "/work/a").action, Action::allow);
  EXPECT_EQ(judge_write(policy, "/work/a").action, Action::allow);
  EXPECT_EQ(judge_write(policy, "/work/reference/a").action, Action::deny);
  EXPECT_EQ(judge_read(policy, "/work/reference/a").action, Action::allow);
  EXPECT_EQ(judge_read(policy, "/out/a").action, Action::deny);
  EXPECT_EQ(judge_write(policy, "/out/a").action, Action::allow);
  EXPECT_EQ(judge_read(policy, "/work/sub/.env").action, Action::deny);
  EXPECT_EQ(judge_write(policy, "/work/sub/.env").action, Action::deny);
  EXPECT_EQ(judge_read(policy, "/work/keys/id").action, Action::deny);
  EXPECT_EQ(judge_read(policy, "/workshop/a").action, Action::deny);
  EXPECT_EQ(judge_read(policy, "/home/ada/.ssh/id_ed25519").action, Action::deny);
  EXPECT_EQ(judge_read(policy, "/usr/bin/env").action, Action::allow);
  EXPECT_EQ(judge_write(policy, "/usr/bin/env").action, Action::deny);
  EXPECT_EQ(judge_read(policy, "/etc/shadow").action, Action::deny);
}

TEST(Programs, AreNamesAlongThePathOrExactFiles) {
  EXPECT_EQ(judge_exec(load("name: any\n"), "curl").action, Action::allow);
  const Policy policy = load("tools: { programs: { allow: [git, /usr/bin/python3] } }\n");
  EXPECT_EQ(judge_exec(policy, "git").action, Action::allow);
  EXPECT_EQ(judge_exec(policy, "/usr/bin/git").action, Action::allow);
  EXPECT_EQ(judge_exec(policy, "/work/git").action, Action::deny);
  EXPECT_EQ(judge_exec(policy, "python3").action, Action::allow);
  EXPECT_EQ(judge_exec(policy, "/usr/bin/curl").action, Action::deny);
}

TEST(SelfTests, FailWithTheReasonAndThePlaceThatDecided) {
  const Policy policy = load(R"(network: { allow: [{ host: a.example, tls: passthrough }] }
tests:
  - { connect: "a.example:443", expect: allow }
  - { connect: "a.example:443", expect: deny }
  - { connect: "10.0.0.1:443", expect: deny }
  - { exec: bash, expect: deny }
)");
  const Diagnostics failures = failed_tests(policy);
  ASSERT_EQ(failures.size(), 2u);
  EXPECT_EQ(failures[0].where.line, 5);
  EXPECT_THAT(failures[0].render(), HasSubstr("expected deny, but network.allow names a.example"));
  EXPECT_THAT(failures[0].render(), HasSubstr("see p.yaml:2:20"));
}

TEST(Floor, KnowsCredentialsByTheirNames) {
  for (const char* name : {"OPENAI_API_KEY", "GH_TOKEN", "aws_secret_access_key", "DB_PASSWORD", "NPM_AUTH",
                           "GOOGLE_APPLICATION_CREDENTIALS", "DATABASE_URL", "SENTRY_DSN", "GITHUB_PAT"})
    EXPECT_TRUE(looks_like_credential(name)) << name;
  for (const char* name : {"TERM", "LANG", "GIT_AUTHOR_NAME", "AWS_PROFILE", "PATH", "PWD", "EDITOR", "COLORTERM"})
    EXPECT_FALSE(looks_like_credential(name)) << name;
}

}  // namespace
}  // namespace stockade::policy
