#include "policy/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "policy/decision.h"
#include "policy/effective.h"
#include "policy/surroundings_fixture.h"
#include "policy/units.h"
#include "policy/yaml_tree.h"

namespace stockade::policy {
namespace {

using ::testing::HasSubstr;

LoadOutcome load(std::string_view text) { return load_policy(text, "p.yaml", adas_surroundings()); }

struct Refused {
  const char* name;
  std::string text;
  const char* where;    // "p.yaml:2:1"
  const char* message;  // parts of the rendered error
  const char* hint = "";
};

void PrintTo(const Refused& refused, std::ostream* out) { *out << refused.name; }

class Refusals : public ::testing::TestWithParam<Refused> {};

TEST_P(Refusals, NameThePlaceTheMistakeAndTheRemedy) {
  const LoadOutcome outcome = load(GetParam().text);
  ASSERT_FALSE(outcome.errors.empty());
  const std::string all = render(outcome.errors);
  EXPECT_THAT(all, HasSubstr(std::string(GetParam().where)));
  EXPECT_THAT(all, HasSubstr(GetParam().message));
  EXPECT_THAT(all, HasSubstr(GetParam().hint));
}

std::string v1(const std::string& rest) { return "version: 1\n" + rest; }
std::string allow(const std::string& rule) { return v1("network:\n  allow:\n    - " + rule + "\n"); }
std::string file(const std::string& rule) { return v1("files:\n  - " + rule + "\n"); }

INSTANTIATE_TEST_SUITE_P(
    Text, Refusals,
    ::testing::Values(
        Refused{"unknown_key", v1("netwrok: {}\n"), "p.yaml:2:1", "unknown key \"netwrok\"", "did you mean `network`?"},
        Refused{"unknown_nested_key", allow("{ host: a.example, prots: [443], tls: passthrough }"), "p.yaml:4:26",
                "unknown key \"prots\"", "`ports`"},
        Refused{"duplicate_key", v1("name: a\nname: b\n"), "p.yaml:3:1", "twice"},
        Refused{"tab", v1("network:\n\tallow: []\n"), "p.yaml:3:1", "a tab", "spaces"},
        Refused{"anchor", v1("name: &a x\n"), "p.yaml:2:7", "an anchor"},
        Refused{"alias", v1("name: *a\n"), "p.yaml:2:7", "alias"},
        Refused{"billion_laughs", "a: &a [x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\n", "p.yaml:1:4", "an anchor"},
        Refused{"merge_key", v1("network:\n  <<: {}\n"), "p.yaml:3:3", "merge key"},
        Refused{"second_document", v1("---\nversion: 1\n"), "p.yaml:2:1", "second document"},
        Refused{"directive", "%YAML 1.1\n---\nversion: 1\n", "p.yaml:", "directive"},
        Refused{"tag", v1("name: !!python/object x\n"), "p.yaml:2:7", "a tag"},
        Refused{"invalid_utf8", v1("name: \xc3\x28\n"), "p.yaml:2:6", "UTF-8"},
        Refused{"overlong_utf8", v1("name: \xc0\xaf\n"), "p.yaml:2:6", "UTF-8"},
        Refused{"nul", v1(std::string("name: a\0b\n", 10)), "p.yaml:2:8", "NUL"},
        Refused{"escaped_nul", v1("name: \"a\\0b\"\n"), "p.yaml:2:7", "NUL"},
        Refused{"escaped_escape", v1("name: \"a\\eb\"\n"), "p.yaml:2:7", "control character"},
        Refused{"escaped_bidi_control", v1("name: \"a\\u202Eb\"\n"), "p.yaml:2:7", "bidirectional"},
        Refused{"escaped_next_line", v1("name: \"a\\Nb\"\n"), "p.yaml:2:7", "control character"},
        Refused{"bidi_control", v1("name: a\xe2\x80\xae b\n"), "p.yaml:2:8", "bidirectional"},
        Refused{"zero_width", v1("name: a\xe2\x80\x8b\n"), "p.yaml:2:8", "invisible"},
        Refused{"deep_nesting", v1("name: " + std::string(40, '[') + std::string(40, ']') + "\n"),
                "p.yaml:2:", "nested deeper"},
        Refused{"very_deep_nesting", std::string(500'000, '['), "p.yaml:1:", "nested deeper"},
        Refused{"not_closed", v1("name: [a\n"), "p.yaml:3:1", "expected"},
        Refused{"too_large", std::string((1 << 20) + 1, '#'), "p.yaml", "1 MiB"},
        Refused{"empty", "# nothing\n", "p.yaml:1:1", "empty"},
        Refused{"a_list", "- a\n", "p.yaml:1:1", "must be a mapping"},
        Refused{"no_version", "name: a\n", "p.yaml:1:1", "`version` is missing"},
        Refused{"other_version", "version: 2\n", "p.yaml:1:10", "must be 1"},
        Refused{"no_value", v1("network:\n  allow:\n"), "p.yaml:3:3", "`network.allow` has no value"},
        Refused{"quotes_missing", v1("sandbox: { env: { set: { CI: 1 } } }\n"), "p.yaml:2:30",
                "must be a text, not a number", "\"1\""},
        Refused{"scalar_for_list", v1("extends: codex\n"), "p.yaml:2:10", "must be a list", "extends: [codex]"}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Values, Refusals,
    ::testing::Values(
        Refused{"wrong_unit", v1("sandbox: { memory: 512MB }\n"), "p.yaml:2:20", "\"512MB\" is not a size", "512MiB"},
        Refused{"lower_case_unit", v1("sandbox: { memory: 512mib }\n"), "p.yaml:2:20", "not a size", "512MiB"},
        Refused{"forgotten_unit", v1("sandbox: { memory: 512 }\n"), "p.yaml:2:20", "too little",
                "did you mean 512MiB?"},
        Refused{"negative_size", v1("sandbox: { memory: -1 }\n"), "p.yaml:2:20", "not a size"},
        Refused{"huge_size", v1("sandbox: { memory: 99999999TiB }\n"), "p.yaml:2:20", "larger than any machine"},
        Refused{"overflowing_size", v1("sandbox: { memory: 99999999999999999999999 }\n"), "p.yaml:2:20", "not a size"},
        Refused{"duration_without_unit", v1("limits: { time: 300 }\n"), "p.yaml:2:17", "without its unit", "300s"},
        Refused{"duration_of_nothing", v1("limits: { time: 0s }\n"), "p.yaml:2:17", "longer than 0"},
        Refused{"zero_count", v1("limits: { requests: 0 }\n"), "p.yaml:2:21", "between 1",
                "does not mean without limit"},
        Refused{"hex_count", v1("limits: { requests: 0x10 }\n"), "p.yaml:2:21", "whole number"},
        Refused{"cpus", v1("sandbox: { cpus: many }\n"), "p.yaml:2:18", "number of CPUs", "0.5"},
        Refused{"no_cpus", v1("sandbox: { cpus: 0 }\n"), "p.yaml:2:18", "number of CPUs"},
        Refused{"yes_is_no_boolean", v1("sandbox: { env: { proxy: yes } }\n"), "p.yaml:2:26", "true or false"},
        Refused{"strictness", v1("sandbox: { strictness: harder }\n"), "p.yaml:2:24", "polled or hard",
                "did you mean hard?"},
        Refused{"variable", v1("sandbox: { env: { pass: [\"A*\"] } }\n"), "p.yaml:2:26", "not the name of a variable"},
        Refused{"credential", v1("sandbox: { env: { pass: [OPENAI_API_KEY] } }\n"), "p.yaml:2:26", "credential",
                "{ name: OPENAI_API_KEY, reason:"},
        Refused{"credential_twice", v1("sandbox: { env: { pass: [TERM, TERM] } }\n"), "p.yaml:2:32", "twice"},
        Refused{"reason_missing", v1("sandbox: { env: { pass: [{ name: GH_TOKEN }] } }\n"), "p.yaml:2:26",
                "name and reason"},
        Refused{"workdir", v1("run: { workdir: work }\n"), "p.yaml:2:17", "must be absolute"},
        Refused{"program_path", v1("tools: { programs: { allow: [bin/sh] } }\n"), "p.yaml:2:30",
                "neither a name nor an absolute path"},
        Refused{"test_without_subject", v1("tests: [{ expect: deny }]\n"), "p.yaml:2:9", "exactly one"},
        Refused{"test_asking_for_a_program", v1("tests: [{ exec: a, expect: ask }]\n"), "p.yaml:2:28",
                "only a connection can wait for approval"},
        Refused{"test_host", v1("tests: [{ connect: evil.example, expect: deny }]\n"), "p.yaml:2:20", "HOST:PORT"}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Network, Refusals,
    ::testing::Values(
        Refused{"port_zero", allow("{ host: a.example, ports: [0], tls: passthrough }"), "p.yaml:4:34", "not a port"},
        Refused{"port_range", allow("{ host: a.example, ports: [90-80], tls: passthrough }"), "p.yaml:4:34",
                "never matches", "80-90"},
        Refused{"no_ports", allow("{ host: a.example, ports: [], tls: passthrough }"), "p.yaml:4:33", "never matches"},
        Refused{"wildcard_in_the_middle", allow("{ host: api.*.example, tls: passthrough }"), "p.yaml:4:15",
                "never matches"},
        Refused{"star", allow("{ host: \"*\", tls: passthrough }"), "p.yaml:4:15", "whole internet"},
        Refused{"top_level_domain", allow("{ host: \"*.com\", tls: passthrough }"), "p.yaml:4:15", "top-level"},
        Refused{"address_as_host", allow("{ host: 192.0.2.1, tls: passthrough }"), "p.yaml:4:15", "is an address",
                "address: 192.0.2.1"},
        Refused{"octal_address", allow("{ host: 0300.0.2.1, tls: passthrough }"), "p.yaml:4:15", "not a host name"},
        Refused{"hex_address", allow("{ host: \"0x7f.1\", tls: passthrough }"), "p.yaml:4:15", "not a host name"},
        Refused{"url", allow("{ host: \"https://a.example/\", tls: passthrough }"), "p.yaml:4:15", "URL"},
        Refused{"host_with_port", allow("{ host: \"a.example:443\", tls: passthrough }"), "p.yaml:4:15",
                "a port in the host"},
        Refused{"umlaut",
                allow("{ host: b\xc3\xbc"
                      "cher.example, tls: passthrough }"),
                "p.yaml:4:15", "not ASCII", "punycode"},
        Refused{"localhost", allow("{ host: localhost, tls: passthrough }"), "p.yaml:4:15", "never matches"},
        Refused{"host_and_address", allow("{ host: a.example, address: 192.0.2.1, tls: passthrough }"), "p.yaml:4:7",
                "in one rule"},
        Refused{"nobody", allow("{ ports: [443], tls: passthrough }"), "p.yaml:4:7", "neither"},
        Refused{"host_bits", allow("{ address: 192.0.2.1/24, tls: passthrough }"), "p.yaml:4:18", "bits set",
                "192.0.2.0/24"},
        Refused{"lower_case_method", allow("{ host: a.example, protocol: http, methods: [get] }"), "p.yaml:4:51",
                "upper case", "did you mean GET?"},
        Refused{"path_without_slash", allow("{ host: a.example, protocol: http, paths: [v1] }"), "p.yaml:4:49",
                "begins with /"},
        Refused{"path_with_dots", allow("{ host: a.example, protocol: http, paths: [/a/../b] }"), "p.yaml:4:49",
                "never matches"},
        Refused{"path_with_query", allow("{ host: a.example, protocol: http, paths: [\"/a?b\"] }"), "p.yaml:4:49",
                "query"},
        Refused{"stars_in_a_word", allow("{ host: a.example, protocol: http, paths: [/a**] }"), "p.yaml:4:49",
                "between slashes"},
        Refused{"method_in_tls", allow("{ host: a.example, tls: passthrough, methods: [GET] }"), "p.yaml:4:53",
                "can't be judged"},
        Refused{"unread_protocol", allow("{ host: a.example, protocol: mysql, tls: passthrough }"), "p.yaml:4:48",
                "reads nothing"},
        Refused{"unknown_protocol", allow("{ host: a.example, protocol: mysq }"), "p.yaml:4:36", "did you mean mysql?"},
        Refused{"graphql_in_tls", allow("{ host: a.example, tls: passthrough, graphql: { fields: [a] } }"), "p.yaml:4:53",
                "can't be judged"},
        Refused{"graphql_of_nothing", allow("{ host: a.example, protocol: http, graphql: {} }"), "p.yaml:4:51",
                "limits nothing"},
        Refused{"graphql_operation", allow("{ host: a.example, protocol: http, graphql: { operations: [Query] } }"),
                "p.yaml:4:65", "not an operation", "query, mutation"},
        Refused{"graphql_field", allow("{ host: a.example, protocol: http, graphql: { fields: [\"a.b\"] } }"),
                "p.yaml:4:61", "not a field"},
        Refused{"path_in_tcp", allow("{ host: a.example, protocol: tcp, paths: [/a] }"), "p.yaml:4:48",
                "can't be judged"},
        Refused{"addresses_of_address", allow("{ address: 192.0.2.1, tls: passthrough, addresses: [10.0.0.0/8] }"),
                "p.yaml:4:58", "has no name"}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Files, Refusals,
    ::testing::Values(
        Refused{"dots", file("{ host: ../secrets, access: read }"), "p.yaml:3:13", "\"..\" in"},
        Refused{"dots_inside", file("{ host: /data, at: /data/../etc, access: read }"), "p.yaml:3:24", "\"..\" in"},
        Refused{"escaping_glob", file("{ host: \"**/../.env\", access: hide }"), "p.yaml:3:13", "\"..\" in"},
        Refused{"glob_in_mount", file("{ host: \"/data/*\", access: read }"), "p.yaml:3:13", "wildcard"},
        Refused{"glob_with_brackets", file("{ host: \"**/[a-z].pem\", access: hide }"), "p.yaml:3:13",
                "more than * ? and **"},
        Refused{"stars_in_a_word", file("{ host: \"/a/b**\", access: hide }"), "p.yaml:3:13", "between slashes"},
        Refused{"hide_all", file("{ host: \"**/\", access: hide }"), "p.yaml:3:13", "hides everything"},
        Refused{"other_home", file("{ host: ~eve/x, access: read }"), "p.yaml:3:13", "another user's home"},
        Refused{"at_root", file("{ host: /data, at: /, access: read }"), "p.yaml:3:24",
                "nothing of the host can stand"},
        Refused{"at_proc", file("{ host: /data, at: /proc/1, access: read }"), "p.yaml:3:24",
                "nothing of the host can stand"},
        Refused{"at_relative", file("{ host: /data, at: data, access: read }"), "p.yaml:3:24", "must be absolute"},
        Refused{"at_with_hide", file("{ host: /data, at: /d, access: hide }"), "p.yaml:3:24", "no meaning"},
        Refused{"access_word", file("{ host: /data, access: raed }"), "p.yaml:3:28", "must be", "did you mean read?"},
        Refused{"no_access", file("{ host: /data }"), "p.yaml:3:5", "missing"},
        Refused{"same_place",
                v1("files:\n  - { host: /a, at: /x, access: read }\n  - { host: /b, at: /x, access: read }\n"),
                "p.yaml:4:5", "two entries"},
        Refused{"socket_outside", file("{ host: /data, access: write, sockets: [/run/x.sock] }"), "p.yaml:3:44",
                "is not below"},
        Refused{"socket_in_read", file("{ host: /data, access: read, sockets: [x.sock] }"), "p.yaml:3:43",
                "access: write"}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    NotBuiltYet, Refusals,
    ::testing::Values(
        Refused{"model", v1("tools: { model: { allow: [a] } }\n"), "p.yaml:2:10", "`tools.model` is not built yet"},
        Refused{"mcp", v1("tools: { mcp: { a: { command: [x] } } }\n"), "p.yaml:2:10", "`tools.mcp` is not built yet"},
        Refused{"copy", file("{ host: ., access: copy }"), "p.yaml:3:24", "copy` is not built yet", "access: write"},
        Refused{"secrets", v1("secrets: { A: { from: env, hosts: [a.example] } }\n"), "p.yaml:2:1",
                "`secrets` is not built yet"},
        Refused{"redact", v1("network: { inspect: { secrets: redact } }\n"), "p.yaml:2:32", "is not built yet"},
        Refused{"injection", v1("network: { inspect: { injection: redact } }\n"), "p.yaml:2:34", "is not built yet"},
        Refused{"injection_ask", v1("network: { inspect: { injection: ask } }\n"), "p.yaml:2:34", "is not built yet"},
        Refused{"rules", v1("rules: []\n"), "p.yaml:2:1", "`rules` is not built yet"},
        Refused{"tool_calls", v1("limits: { tool_calls: 10 }\n"), "p.yaml:2:11",
                "`limits.tool_calls` is not built yet"},
        Refused{"tokens", v1("limits: { tokens: 10 }\n"), "p.yaml:2:11", "`limits.tokens` is not built yet"},
        Refused{"recording", v1("audit: { record_terminal: true }\n"), "p.yaml:2:27", "is not built yet"},
        Refused{"export", v1("audit: { export: [x] }\n"), "p.yaml:2:18", "is not built yet"},
        Refused{"runtime", v1("sandbox: { runtime: runsc }\n"), "p.yaml:2:21", "runsc` is not built yet"},
        Refused{"image", v1("sandbox: { image: debian }\n"), "p.yaml:2:12", "`sandbox.image` is not built yet"},
        Refused{"rootfs", v1("sandbox: { rootfs: /x }\n"), "p.yaml:2:12", "`sandbox.rootfs` is not built yet"},
        Refused{"canaries", v1("canaries: true\n"), "p.yaml:2:1", "`canaries` is not built yet"}),
    [](const auto& info) { return info.param.name; });

TEST(Loader, OpensTlsWhereARuleDoesNotSay) {
  const Network network = load(allow("{ host: a.example, methods: [GET], paths: [/v1/**] }\n"
                                     "    - { host: b.example, protocol: tls }\n"
                                     "    - { host: c.example, tls: passthrough }\n"
                                     "    - { host: d.example, protocol: http }\n"
                                     "    - { host: e.example, protocol: tcp }"))
                              .policy.network;
  ASSERT_EQ(network.allow.size(), 5u);
  const TlsMode expected[] = {TlsMode::inspect, TlsMode::inspect, TlsMode::passthrough, TlsMode::unset, TlsMode::unset};
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(network.allow[i].tls, expected[i]) << network.allow[i].host;
    EXPECT_EQ(is_intercepted(network.allow[i]), i < 2) << network.allow[i].host;
  }
}

TEST(Loader, ReportsEveryErrorOfAFileAtOnce) {
  const LoadOutcome outcome = load(
      "version: 1\n"
      "sandbox: { memory: 512MB, cpu: 1 }\n"
      "network:\n"
      "  allow:\n"
      "    - { host: a.example, ports: [0], tls: passthrough }\n"
      "    - { host: \"*\", protocol: http, methods: [get] }\n"
      "files: [{ host: ../x, access: reed }]\n"
      "limits: { time: 300 }\n");
  EXPECT_EQ(outcome.errors.size(), 7u) << render(outcome.errors);
}

TEST(Loader, KeepsTheNumberOfReportedErrorsBounded) {
  std::string text = "version: 1\n";
  for (int i = 0; i < 5000; ++i) text += "x" + std::to_string(i) + ": 1\n";
  EXPECT_EQ(load(text).errors.size(), kDiagnosticLimit + 1);
  text = "version: 1\n";
  for (int i = 0; i < 5000; ++i) text += "name: 1\n";
  EXPECT_EQ(load(text).errors.size(), kDiagnosticLimit + 1);
}

TEST(Loader, ReadsTheContractsExampleWithoutWhatIsLater) {
  const LoadOutcome outcome = load(R"(version: 1
name: inbox-summariser
extends: [codex, packages]
run: { command: [codex, exec, "summarise the inbox"], workdir: /work/ }
tools: { programs: { allow: [bash, git, node, /usr/bin/python3] } }
sandbox:
  runtime: native
  image: null
  memory: 512MiB
  cpus: 0.5
  pids: 256
  disk: 2GiB
  strictness: hard
  proc: minimal
  inodes: 1000
  open_files: 256
  file_size: 1GiB
  user: { uid: 1000, gid: 1000 }
  env: { pass: [TERM, { name: AWS_PROFILE, reason: "a name, no secret" }], set: { CI: "1", EMPTY: "" }, proxy: true }
network:
  allow:
    - { host: API.OpenAI.com., ports: [443, 8000-8010], tls: passthrough, programs: [codex], ask: false }
    - { host: mirror.example, ports: [80], protocol: http, methods: [GET, POST], paths: [/v1/**] }
    - { host: db.internal, ports: [5432], protocol: tcp, addresses: [10.0.0.0/8] }
    - { address: 192.0.2.0/24, tls: passthrough }
    - { host: shop.internal, ports: [3307], protocol: mysql, tls: inspect }
  deny: [{ host: gist.github.com }]
  resolver: 192.0.2.53:53
  trust: []
  inspect: { secrets: off, injection: off, code: off }
files:
  - { host: ., at: /work, access: write, sockets: [run/x.sock] }
  - { host: ~/inbox/./today//, access: read, bridge: true, reason: because }
  - { host: /data/output, at: /output, access: write-only, exec: false }
  - { host: "**/.env", access: hide }
limits: { time: 300s, requests: 1000, connections: 10, names: 50, bytes_out: 50MiB, denials: 20, approval: 90s }
audit: { record_terminal: false, export: [] }
tests:
  - { connect: "evil.example:443", expect: deny }
  - { read: ~/.ssh/id_ed25519, expect: deny }
)");
  ASSERT_TRUE(outcome.errors.empty()) << render(outcome.errors);
  const Policy& policy = outcome.policy;
  EXPECT_EQ(outcome.extends.size(), 2u);
  EXPECT_EQ(policy.run.workdir, "/work");
  EXPECT_EQ(policy.sandbox.memory, 512u << 20);
  EXPECT_DOUBLE_EQ(*policy.sandbox.cpus, 0.5);
  EXPECT_EQ(policy.network.allow[0].host, "api.openai.com");
  EXPECT_EQ(policy.network.allow[0].where.line, 22);
  EXPECT_EQ(policy.network.allow[0].where.column, 7);
  EXPECT_EQ(policy.network.allow[0].ports[1].last, 8010);
  EXPECT_EQ(policy.network.allow[3].ports[0].first, 443);
  EXPECT_EQ(policy.network.allow[4].protocol, Protocol::tcp);
  EXPECT_EQ(policy.network.allow[4].speaks, "mysql");
  EXPECT_EQ(policy.files[0].host, "/home/ada/project");
  EXPECT_EQ(policy.files[0].sockets[0], "/home/ada/project/run/x.sock");
  EXPECT_EQ(policy.files[1].host, "/home/ada/inbox/today");
  EXPECT_EQ(policy.files[1].at, "/home/ada/inbox/today");
  EXPECT_EQ(policy.limits.time, std::chrono::seconds(300));
  EXPECT_EQ(policy.tests[1].value, "/home/ada/.ssh/id_ed25519");

  // The effective policy is YAML of the same contract, and loads back to itself.
  const std::string text = to_json(policy);
  const LoadOutcome again = load(text);
  ASSERT_TRUE(again.errors.empty()) << render(again.errors) << text;
  EXPECT_EQ(to_json(again.policy), text);
  EXPECT_EQ(policy_hash(again.policy), policy_hash(policy));
}

TEST(Units, SurviveFormatting) {
  for (const char* text : {"1", "512MiB", "2GiB", "50KiB", "3TiB", "1025"})
    EXPECT_EQ(format_size(*parse_size(text)), text);
  for (const char* text : {"500ms", "300s", "1h", "90s"}) EXPECT_EQ(format_duration(*parse_duration(text)), text);
  EXPECT_EQ(format_duration(*parse_duration("15m")), "15m");
  EXPECT_EQ(format_cpus(*parse_cpus("1.25")), "1.25");
  for (const char* text : {"", "01MiB", "1.5GiB", "MiB", "1MiB ", "+1", "1 MiB"})
    EXPECT_FALSE(parse_size(text)) << text;
  for (const char* text : {"", "5", "1d", "1h30m", "99999999h", "-1s"}) EXPECT_FALSE(parse_duration(text)) << text;
  for (const char* text : {"", ".5", "1.", "1.2345", "1e3", "inf", "nan", "-1"}) EXPECT_FALSE(parse_cpus(text)) << text;
}

}  // namespace
}  // namespace stockade::policy
