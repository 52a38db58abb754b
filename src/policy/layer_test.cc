#include "policy/layer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "policy/decision.h"
#include "policy/effective.h"
#include "policy/judge_files.h"
#include "policy/preset.h"
#include "policy/reports.h"
#include "policy/trust.h"

namespace stockade::policy {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

// A person's machine in a temporary directory: home, project, state, configuration.
class Layers : public ::testing::Test {
 protected:
  Layers() {
    char name[] = "/tmp/stockade-layer-XXXXXX";
    root_ = fs::canonical(::mkdtemp(name));
    for (const char* dir : {"home/project/sub", "home/.config/stockade", "etc"}) fs::create_directories(root_ / dir);
    s_.home = root_ / "home";
    s_.cwd = root_ / "home/project";
    s_.state_dir = root_ / "home/.local/state/stockade";
    s_.config_dir = root_ / "home/.config/stockade";
    s_.runtime_dir = root_ / "run/stockade";
    s_.system_policy = root_ / "etc/policy.yaml";
    s_.uid = ::geteuid();
    s_.memory = uint64_t{8} << 30;
    s_.cpus = 4;
  }
  ~Layers() override { fs::remove_all(root_); }

  std::string put(const std::string& path, const std::string& text) {
    const fs::path full = root_ / path;
    fs::create_directories(full.parent_path());
    std::ofstream(full) << text;
    return full;
  }
  Layered with_policy(const std::string& text) {
    Request request;
    request.policy_file = put("policies/p.yaml", "version: 1\n" + text);
    return layer(request, s_);
  }
  bool connects(const Layered& layered, const char* host, uint16_t port = 443) {
    return judge_connect(layered.policy.network, host, port).action == Action::allow;
  }

  fs::path root_;
  Surroundings s_;
};

TEST_F(Layers, GiveTheCurrentDirectoryAndNoNetworkWithoutAPolicy) {
  const Layered layered = layer({}, s_);
  ASSERT_TRUE(layered.usable()) << render(layered.errors);
  EXPECT_TRUE(layered.policy.network.allow.empty());
  ASSERT_EQ(layered.policy.files.size(), 1u);
  EXPECT_EQ(layered.policy.files[0].host, s_.cwd);
  EXPECT_EQ(layered.policy.files[0].access, Access::write);
}

TEST_F(Layers, FindThePresetByTheCommandsName) {
  Request request;
  request.program = "/usr/local/bin/codex";
  EXPECT_TRUE(connects(layer(request, s_), "api.openai.com"));
  request.program = "/usr/bin/cursor-agent";
  EXPECT_TRUE(connects(layer(request, s_), "api2.cursor.sh"));
}

TEST_F(Layers, GiveNoPresetToAProgramThatARunCouldHaveWritten) {
  Request request;
  request.program = s_.cwd + "/node_modules/.bin/codex";
  const Layered layered = layer(request, s_);
  EXPECT_FALSE(connects(layered, "api.openai.com"));
  EXPECT_THAT(render(layered.notes), HasSubstr("--preset codex"));
}

TEST_F(Layers, GiveNoPresetToAProgramThatARunCouldHaveWrittenHoweverItIsReached) {
  put("home/project/codex", "#!/bin/sh\n");
  put("home/dist/codex", "#!/bin/sh\n");
  fs::create_directories(root_ / "bin");
  fs::create_symlink(s_.cwd + "/codex", root_ / "bin/codex");
  fs::create_directories(s_.cwd + "/linked");
  fs::create_symlink(root_ / "home/dist/codex", s_.cwd + "/linked/codex");
  for (const std::string& program :
       {std::string("./codex"), std::string("codex/../codex"), std::string("../project/codex"),
        (root_ / "bin/codex").string(), std::string("linked/codex")}) {
    Request request;
    request.program = program;
    EXPECT_FALSE(connects(layer(request, s_), "api.openai.com")) << program;
  }
  Request request;
  request.program = (root_ / "home/dist/codex").string();
  EXPECT_TRUE(connects(layer(request, s_), "api.openai.com"));
}

TEST_F(Layers, RefuseAPolicyThatALinkOfAnEarlierRunLeadsTo) {
  put("policies/wide.yaml", "version: 1\nnetwork: { allow: [{ host: wide.example, tls: passthrough }] }\n");
  fs::create_directories(root_ / "out");
  fs::create_symlink(root_ / "policies/wide.yaml", root_ / "out/run.yaml");
  fs::create_directory_symlink(root_ / "policies", root_ / "out/policies");
  Request request;
  for (const char* name : {"out/run.yaml", "out/policies/wide.yaml"}) {
    request.policy_file = (root_ / name).string();
    EXPECT_TRUE(connects(layer(request, s_), "wide.example")) << name;
  }
  s_.written_places = {(root_ / "out").string()};
  for (const char* name : {"out/run.yaml", "out/policies/wide.yaml"}) {
    request.policy_file = (root_ / name).string();
    EXPECT_THAT(render(layer(request, s_).errors), HasSubstr("symbolic link")) << name;
  }
}

TEST_F(Layers, AddNothingToAPolicyThatAPersonNamed) {
  const Layered layered = with_policy("network: { allow: [{ host: a.example, tls: passthrough }] }\n");
  ASSERT_TRUE(layered.usable()) << render(layered.errors);
  EXPECT_TRUE(connects(layered, "a.example"));
  EXPECT_TRUE(layered.policy.files.empty());
}

TEST_F(Layers, JoinWhatExtendsNamesAndLetTheOuterFileWin) {
  put("policies/base.yaml",
      "version: 1\nsandbox: { memory: 1GiB, pids: 100, env: { set: { A: x, B: y } } }\nfiles: [{ host: /data, access: "
      "write }]\n");
  const Layered layered = with_policy(
      "extends: [codex, ./base.yaml]\nsandbox: { memory: 2GiB, env: { set: { A: z } } }\nfiles: [{ host: /data, "
      "access: read }]\n");
  ASSERT_TRUE(layered.usable()) << render(layered.errors);
  EXPECT_TRUE(connects(layered, "api.openai.com"));
  EXPECT_EQ(layered.policy.sandbox.memory, uint64_t{2} << 30);
  EXPECT_EQ(layered.policy.sandbox.pids, 100u);
  ASSERT_EQ(layered.policy.files.size(), 1u);
  EXPECT_EQ(layered.policy.files[0].access, Access::read);
  ASSERT_EQ(layered.policy.sandbox.env.set.size(), 2u);
  EXPECT_EQ(layered.policy.sandbox.env.set[0].value, "z");
}

TEST_F(Layers, RefuseCirclesDepthAndUnknownPresets) {
  put("policies/a.yaml", "version: 1\nextends: [./b.yaml]\n");
  put("policies/b.yaml", "version: 1\nextends: [./a.yaml]\n");
  EXPECT_THAT(render(with_policy("extends: [./a.yaml]\n").errors), HasSubstr("circle"));
  for (int i = 0; i < 12; ++i)
    put("policies/d" + std::to_string(i) + ".yaml", "version: 1\nextends: [./d" + std::to_string(i + 1) + ".yaml]\n");
  EXPECT_THAT(render(with_policy("extends: [./d0.yaml]\n").errors), HasSubstr("deeper"));
  EXPECT_THAT(render(with_policy("extends: [codx]\n").errors), HasSubstr("did you mean codex?"));
  EXPECT_THAT(render(with_policy("extends: [./none.yaml]\n").errors), HasSubstr("there is no file"));
}

TEST_F(Layers, StartNothingWhenAPolicyFileIsMissingHugeOrNoFile) {
  Request request;
  request.policy_file = s_.cwd + "/none.yaml";
  EXPECT_THAT(render(layer(request, s_).errors), HasSubstr("there is no file"));
  request.policy_file = s_.cwd;
  EXPECT_THAT(render(layer(request, s_).errors), HasSubstr("not a regular file"));
  request.policy_file = put("big.yaml", "version: 1\n");
  fs::resize_file(request.policy_file, 100 << 20);
  const auto before = std::chrono::steady_clock::now();
  EXPECT_THAT(render(layer(request, s_).errors), HasSubstr("larger than 1 MiB (104857600 bytes)"));
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::milliseconds(100));
  const std::string fifo = root_ / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  request.policy_file = fifo;
  EXPECT_THAT(render(layer(request, s_).errors), HasSubstr("not a regular file"));
  request.policy_file = put("open.yaml", "version: 1\n");
  ::chmod(request.policy_file.c_str(), 0666);
  EXPECT_THAT(render(layer(request, s_).errors), HasSubstr("anybody may write"));
}

TEST_F(Layers, LetAPolicyPassThroughWhatItsPresetOpens) {
  const Layered layered =
      with_policy("extends: [codex]\nnetwork: { allow: [{ host: api.openai.com, tls: passthrough }] }\n");
  ASSERT_TRUE(layered.usable()) << render(layered.errors);
  const auto tls_to = [&](const char* host) {
    return layered.policy.network.allow[static_cast<size_t>(judge_connect(layered.policy.network, host, 443).rule)].tls;
  };
  EXPECT_EQ(tls_to("api.openai.com"), TlsMode::passthrough);
  EXPECT_EQ(tls_to("chatgpt.com"), TlsMode::inspect);
}

TEST_F(Layers, LetNothingPassThroughACeilingThatOpensTls) {
  put("home/.config/stockade/policy.yaml", R"(version: 1
network:
  allow: [{ host: a.example }, { host: b.example, tls: passthrough }, { host: c.example, protocol: tls }]
)");
  const Layered layered = with_policy(R"(network:
  allow: [{ host: a.example, tls: passthrough }, { host: b.example }, { host: c.example, protocol: tcp }]
)");
  ASSERT_TRUE(layered.usable()) << render(layered.errors);
  EXPECT_FALSE(connects(layered, "a.example"));
  ASSERT_EQ(layered.policy.network.allow.size(), 2u);
  for (const NetworkRule& rule : layered.policy.network.allow) EXPECT_TRUE(is_intercepted(rule)) << rule.host;
}

TEST_F(Layers, LetNothingBelowACeilingAllowWhatItForbids) {
  put("home/.config/stockade/policy.yaml", R"(version: 1
sandbox: { memory: 1GiB, pids: 8192, cpus: 1, strictness: hard }
network:
  allow:
    - { host: "*.example.com", tls: passthrough }
    - { address: 0.0.0.0/0, ports: [443], tls: passthrough }
  deny: [{ host: gist.example.com }]
files:
  - { host: ~/project, access: write }
  - { host: ~/project/vendor, access: read }
limits: { time: 1h }
)");
  const Layered layered = with_policy(R"(sandbox: { memory: 4GiB }
network:
  allow:
    - { host: api.example.com, ports: [443, 8443], tls: passthrough }
    - { host: gist.example.com, tls: passthrough }
    - { host: other.example, tls: passthrough }
    - { address: 10.0.0.0/8, tls: passthrough }
    - { address: 93.184.216.0/24, tls: passthrough }
files:
  - { host: ~/project/sub, access: write }
  - { host: ~/project/vendor, access: write }
  - { host: /data, access: read }
limits: { time: 2h }
)");
  ASSERT_TRUE(layered.usable()) << render(layered.errors);
  const Policy& policy = layered.policy;
  EXPECT_TRUE(connects(layered, "api.example.com"));
  EXPECT_FALSE(connects(layered, "api.example.com", 8443));
  EXPECT_FALSE(connects(layered, "gist.example.com"));
  EXPECT_FALSE(connects(layered, "other.example"));
  EXPECT_EQ(judge_connect(policy.network, *IpAddress::parse("93.184.216.1"), 443).action, Action::allow);
  EXPECT_EQ(judge_connect(policy.network, *IpAddress::parse("10.0.0.1"), 443).action, Action::deny);
  EXPECT_EQ(policy.sandbox.memory, uint64_t{1} << 30);
  EXPECT_FALSE(policy.sandbox.pids) << "the default is lower than the ceiling and stays";
  EXPECT_EQ(policy.sandbox.cpus, 1.0);
  EXPECT_EQ(policy.sandbox.strictness, Strictness::hard);
  EXPECT_EQ(policy.limits.time, std::chrono::hours(1));
  ASSERT_EQ(policy.files.size(), 2u);
  EXPECT_EQ(policy.files[0].access, Access::write);
  EXPECT_EQ(policy.files[1].access, Access::read);
  EXPECT_THAT(render(layered.notes), HasSubstr("other.example is not allowed; a ceiling limits it: "));
  EXPECT_THAT(render(layered.notes), HasSubstr("/data is not mounted"));
}

TEST_F(Layers, ForbidEverythingUnderACeilingOfEmptyLists) {
  put("etc/policy.yaml",
      "version: 1\ntools: { programs: { allow: [] } }\nsandbox: { env: { pass: [] } }\nnetwork: { allow: [] }\nfiles: "
      "[]\n");
  const Layered layered = with_policy(
      "tools: { programs: { allow: [git] } }\nsandbox: { env: { pass: [TERM] } }\nnetwork: { allow: [{ host: "
      "a.example, tls: passthrough }] }\nfiles: [{ host: /data, access: read }]\n");
  ASSERT_TRUE(layered.usable()) << render(layered.errors);
  EXPECT_TRUE(layered.policy.programs.allow->empty());
  EXPECT_TRUE(layered.policy.network.allow.empty());
  EXPECT_TRUE(layered.policy.files.empty());
  EXPECT_TRUE(layered.policy.sandbox.env.pass.empty());
}

TEST_F(Layers, RefuseACeilingThatForbidsNothingOrDoesNotLoad) {
  put("etc/policy.yaml", "version: 1\nrun: { command: [evil] }\n");
  EXPECT_THAT(render(layer({}, s_).errors), HasSubstr("`run` forbids nothing"));
  put("etc/policy.yaml", "version: 1\nnetwork: { alow: [] }\n");
  EXPECT_THAT(render(layer({}, s_).errors), HasSubstr("did you mean `allow`?"));
}

TEST_F(Layers, LetAnUntrustedWorkspaceFileOnlyNarrow) {
  put("home/project/.stockade.yaml", R"(version: 1
run: { command: [evil] }
sandbox: { memory: 64MiB, env: { set: { LD_PRELOAD: /work/x.so }, proxy: true } }
network: { allow: [{ host: a.example, tls: passthrough }, { host: evil.example, tls: passthrough }] }
files: [{ host: ., access: read }, { host: ~/.ssh, access: read, reason: please }]
)");
  const Layered layered = with_policy(
      "network: { allow: [{ host: a.example, tls: passthrough }, { host: b.example, tls: passthrough }] }\nfiles: [{ "
      "host: ., access: write }]\n");
  ASSERT_TRUE(layered.usable()) << render(layered.errors);
  EXPECT_TRUE(connects(layered, "a.example"));
  EXPECT_FALSE(connects(layered, "b.example"));
  EXPECT_FALSE(connects(layered, "evil.example"));
  ASSERT_EQ(layered.policy.files.size(), 1u);
  EXPECT_EQ(layered.policy.files[0].access, Access::read);
  EXPECT_TRUE(layered.policy.run.command.empty());
  EXPECT_TRUE(layered.policy.sandbox.env.set.empty());
  EXPECT_FALSE(layered.policy.sandbox.env.proxy);
  EXPECT_EQ(layered.policy.sandbox.memory, 64u << 20);
}

TEST_F(Layers, LetATrustedWorkspaceFileStandForThePolicyBelowTheCeilings) {
  const std::string file = put("home/project/.stockade.yaml",
                               "version: 1\nnetwork: { allow: [{ host: a.example, tls: passthrough }, { host: "
                               "b.example, tls: passthrough }] }\nfiles: [{ host: ., access: write }]\n");
  put("etc/policy.yaml", "version: 1\nnetwork: { deny: [{ host: b.example }] }\n");
  EXPECT_FALSE(connects(layer({}, s_), "a.example"));
  const Report trusted = trust_report(file, s_);
  ASSERT_TRUE(trusted.ok) << trusted.text;
  const Layered layered = layer({}, s_);
  ASSERT_TRUE(layered.usable()) << render(layered.errors);
  EXPECT_TRUE(connects(layered, "a.example"));
  EXPECT_FALSE(connects(layered, "b.example"));
  // Bound to the content, and to the place.
  put("home/project/.stockade.yaml",
      "version: 1\nnetwork: { allow: [{ host: a.example, tls: passthrough }, { host: c.example, tls: passthrough }] "
      "}\n");
  EXPECT_FALSE(connects(layer({}, s_), "a.example"));
}

TEST_F(Layers, BindTrustToThePath) {
  const std::string text = "version: 1\nnetwork: { allow: [{ host: a.example, tls: passthrough }] }\n";
  ASSERT_TRUE(trust_report(put("home/project/.stockade.yaml", text), s_).ok);
  put("home/other/.stockade.yaml", text);
  Surroundings other = s_;
  other.cwd = root_ / "home/other";
  EXPECT_TRUE(connects(layer({}, s_), "a.example"));
  EXPECT_FALSE(connects(layer({}, other), "a.example"));
  struct stat status;
  ASSERT_EQ(::stat(s_.trust_dir().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
  for (const auto& entry : fs::directory_iterator(s_.trust_dir())) {
    ASSERT_EQ(::stat(entry.path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
  }
}

TEST_F(Layers, NeverTrustThroughAForgedOrForeignStateFile) {
  const std::string file =
      put("home/project/.stockade.yaml", "version: 1\nnetwork: { allow: [{ host: a.example, tls: passthrough }] }\n");
  ASSERT_TRUE(trust_report(file, s_).ok);
  for (const auto& entry : fs::directory_iterator(s_.trust_dir())) ::chmod(entry.path().c_str(), 0666);
  EXPECT_THAT(render(layer({}, s_).errors), HasSubstr("not a private file of yours"));
}

TEST_F(Layers, TakeNoWorkspaceFileThroughALink) {
  const std::string target = put("elsewhere.yaml", "version: 1\n");
  fs::create_symlink(target, s_.cwd + "/.stockade.yaml");
  EXPECT_THAT(render(layer({}, s_).errors), HasSubstr("symbolic link"));
}

TEST_F(Layers, AskForTrustOnceARunCouldHaveChangedThePolicy) {
  const std::string file = put("home/project/policy.yaml", "version: 1\nfiles: [{ host: ., access: write }]\n");
  Request request;
  request.policy_file = file;
  const Layered first = layer(request, s_);
  ASSERT_TRUE(first.usable()) << render(first.errors);
  ASSERT_TRUE(record_start(first, s_));
  s_.written_places = *written_places(s_.state_dir);
  EXPECT_THAT(s_.written_places, ::testing::ElementsAre(s_.cwd));
  EXPECT_TRUE(layer(request, s_).usable()) << "unchanged since before the first run";
  put("home/project/policy.yaml", "version: 1\nfiles: [{ host: ., access: write }, { host: /data, access: write }]\n");
  EXPECT_THAT(render(layer(request, s_).errors), HasSubstr("an earlier run could have written this file"));
  EXPECT_TRUE(inspect(file, s_).usable()) << "looking needs no trust";
  ASSERT_TRUE(trust_report(file, s_).ok);
  EXPECT_TRUE(layer(request, s_).usable());
  // A file outside that extends one inside.
  put("home/project/part.yaml", "version: 1\nnetwork: { allow: [{ host: evil.example, tls: passthrough }] }\n");
  request.policy_file = put("policies/outer.yaml", "version: 1\nextends: [" + s_.cwd + "/part.yaml]\n");
  EXPECT_THAT(render(layer(request, s_).errors), HasSubstr("an earlier run could have written this file"));
}

TEST_F(Layers, RefuseBroadAndSecretPlacesWithoutAReason) {
  for (const std::string& host : {std::string("\"~\""), std::string("/"), root_.string(), std::string("/etc"),
                                  s_.state_dir, std::string("~/.ssh"), std::string("~/.aws/credentials")}) {
    const std::string at = host == "/" ? ", at: /host" : "";
    const Layered refused = with_policy("files: [{ host: " + host + at + ", access: read }]\n");
    EXPECT_THAT(render(refused.errors), HasSubstr("add `reason:`")) << host;
    const Layered allowed = with_policy("files: [{ host: " + host + at + ", access: read, reason: backup }]\n");
    EXPECT_TRUE(allowed.usable()) << host << render(allowed.errors);
    EXPECT_FALSE(allowed.warnings.empty()) << host;
  }
}

TEST_F(Layers, HideOurOwnDirectoriesBelowABroadMount) {
  const Layered layered = with_policy("files: [{ host: \"~\", access: write, reason: all of it }]\n");
  ASSERT_TRUE(layered.usable()) << render(layered.errors);
  EXPECT_EQ(judge_read(layered.policy, s_.state_dir + "/trust/x").action, Action::deny);
  EXPECT_EQ(judge_write(layered.policy, s_.config_dir + "/policy.yaml").action, Action::deny);
  EXPECT_EQ(judge_write(layered.policy, s_.home + "/notes").action, Action::allow);
}

TEST_F(Layers, RefuseTheHomeAsTheDefaultDirectory) {
  s_.cwd = s_.home;
  EXPECT_THAT(render(layer({}, s_).errors), HasSubstr("your home directory"));
}

TEST_F(Layers, CheckAcrossFields) {
  const auto errors = [&](const char* text) { return render(with_policy(text).errors); };
  EXPECT_THAT(errors("network: { allow: [{ host: \"*.github.io\", tls: passthrough }] }\n"),
              HasSubstr("anybody can rent"));
  EXPECT_THAT(errors("network: { allow: [{ host: \"*.s3.eu-central-1.amazonaws.com\", tls: passthrough }] }\n"),
              HasSubstr("anybody can rent"));
  EXPECT_EQ(errors("network: { allow: [{ host: \"*.github.io\", ports: [80], protocol: http, paths: [/mine/**] }] }\n"),
            "");
  EXPECT_THAT(errors("network: { allow: [{ host: a.example, tls: passthrough }], deny: [{ host: \"*.example\" }] }\n"),
              HasSubstr("top-level"));
  EXPECT_THAT(
      errors("network: { allow: [{ host: a.b.example, tls: passthrough }], deny: [{ host: \"*.b.example\" }] }\n"),
      HasSubstr("never matches"));
  EXPECT_THAT(
      errors("network: { allow: [{ host: a.example, tls: passthrough }], deny: [{ host: a.example, paths: [/x] }] }\n"),
      HasSubstr("can't be judged"));
  EXPECT_THAT(
      errors("network: { allow: [{ host: a.example, tls: passthrough }, { host: a.example, protocol: tcp }] }\n"),
      HasSubstr("protocol: tcp"));
  EXPECT_THAT(
      errors("network: { allow: [{ host: a.example, tls: passthrough }, { host: a.example, ports: [443, 80] }] }\n"),
      HasSubstr("tls: passthrough"));
  EXPECT_EQ(errors("network: { allow: [{ host: a.example }], deny: [{ host: a.example, paths: [/x] }] }\n"), "");
  EXPECT_THAT(errors("tools: { programs: { allow: [git] } }\nnetwork: { allow: [{ host: a.example, tls: passthrough, "
                     "programs: [curl] }] }\n"),
              HasSubstr("never matches"));
  EXPECT_THAT(errors("files: [{ host: /out, access: write-only }, { host: /out, at: /see, access: read }]\n"),
              HasSubstr("shows the same files"));
  EXPECT_THAT(
      errors("files: [{ host: /out, access: write-only, bridge: true }, { host: /out, at: /see, access: read }]\n"),
      Not(HasSubstr("shows")));
  EXPECT_THAT(errors("network: { allow: [{ host: a.example, tls: passthrough, addresses: [0.0.0.0/0] }] }\n"),
              HasSubstr("not the name of a forbidden range"));
  EXPECT_THAT(render(with_policy("network: { allow: [{ host: \"*.b.example\", tls: passthrough }] }\n").warnings),
              HasSubstr("every host"));
  EXPECT_THAT(render(with_policy("network: { allow: [{ host: webhook.site, tls: passthrough }] }\n").warnings),
              HasSubstr("webhook catcher"));
  EXPECT_THAT(
      render(with_policy("network: { allow: [{ host: \"*.cloudflare-dns.com\", tls: passthrough }] }\n").warnings),
      HasSubstr("DNS over HTTPS"));
  EXPECT_THAT(render(with_policy("network: { allow: [{ host: a.example, tls: inspect, graphql: { fields: [b] } }, "
                                 "{ host: a.example, tls: inspect }] }\n")
                         .warnings),
              HasSubstr("`graphql` limits nothing"));
  EXPECT_THAT(render(with_policy("network: { allow: [{ address: 93.0.0.0/8, tls: passthrough }] }\n").warnings),
              HasSubstr("wide range"));
  EXPECT_THAT(
      errors("network: { allow: [{ host: a.example, protocol: mysql }, { host: a.example, protocol: tcp }] }\n"),
      HasSubstr("two protocols on the same port"));
}

TEST_F(Layers, WarnWhereInspectionIsBlind) {
  const auto warned = [&](const std::string& text) { return render(with_policy(text).warnings); };
  const std::string rules =
      "network:\n  allow:\n    - { host: a.example, tls: passthrough }\n"
      "    - { host: b.example, protocol: tcp, tls: passthrough }\n    - { host: s.example, ports: [22], protocol: tcp "
      "}\n"
      "    - { host: db.example, ports: [5432], protocol: tcp }\n";
  EXPECT_THAT(warned(rules), HasSubstr("not searched for secrets: a.example and b.example"));
  EXPECT_THAT(warned(rules), HasSubstr("s.example: SSH is encrypted by itself"));
  EXPECT_THAT(warned(rules), Not(HasSubstr("db.example")));
  EXPECT_THAT(warned(rules + "  inspect: { secrets: off }\n"), Not(HasSubstr("searched")));
}

TEST_F(Layers, RunThePolicysTestsOnTheEffectivePolicy) {
  EXPECT_THAT(render(with_policy("tests: [{ connect: \"a.example:443\", expect: allow }]\n").errors),
              HasSubstr("the policy's test fails"));
  put("etc/policy.yaml", "version: 1\ntests: [{ connect: \"evil.example:443\", expect: deny }]\n");
  EXPECT_THAT(render(with_policy("network: { allow: [{ host: evil.example, tls: passthrough }] }\n").errors),
              HasSubstr("expected deny"));
}

// Every start pays for this. The bound is generous for busy machines; STOCKADE_PRINT_SPEED=1 prints the figures.
TEST_F(Layers, AreReadAndTestedInWellUnderAMillisecond) {
  Request request;
  request.policy_file = put("policies/p.yaml",
                            "version: 1\nextends: [codex, packages]\nsandbox: { memory: 512MiB, cpus: 1 }\nfiles: [{ "
                            "host: ., access: write }, { host: \"**/.env\", access: hide }]\ntests: [{ connect: "
                            "\"evil.example:443\", expect: deny }, { read: ~/.ssh/id_ed25519, expect: deny }]\n");
  std::vector<double> times;
  for (int i = 0; i < 51; ++i) {
    const auto before = std::chrono::steady_clock::now();
    const Layered layered = layer(request, s_);
    ASSERT_TRUE(layered.usable()) << render(layered.errors);
    times.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - before).count());
  }
  const double first = times.front();
  std::sort(times.begin(), times.end());
  RecordProperty("median_us", std::to_string(times[25]));
  RecordProperty("first_us", std::to_string(first));
  if (::getenv("STOCKADE_PRINT_SPEED") != nullptr)
    std::fprintf(stderr, "layer: first %.0f µs, median %.0f µs\n", first, times[25]);
  EXPECT_LT(times[25], 5000);
}

}  // namespace
}  // namespace stockade::policy
