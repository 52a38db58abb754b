#include "sandbox/environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace stockade::sandbox {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

Surroundings person() {
  Surroundings surroundings;
  surroundings.environment = {{"PATH", "/evil"},       {"AWS_SECRET_ACCESS_KEY", "x"}, {"LD_PRELOAD", "/evil.so"},
                              {"LANG", "de_DE.UTF-8"}, {"LC_ALL", "../../evil"},       {"TERM", "xterm"},
                              {"TZ", "/etc/shadow"},   {"SSH_AUTH_SOCK", "/run/x"},    {"AWS_PROFILE", "work"}};
  return surroundings;
}
const Inside kInside{
    .uid = 7, .gid = 7, .user = "ada", .group = "ada", .home = "/home/ada", .shell = "/bin/sh", .hostname = "h"};

std::vector<std::string> made(const policy::Environment& policy, bool terminal = false) {
  return *make_environment(policy, person(), kInside, {{"/usr/bin", "/bin"}, {}}, terminal);
}

TEST(Environment, InheritsNothingThatThePolicyDoesNotPass) {
  const auto environment = made({});
  EXPECT_THAT(environment, Contains("PATH=/usr/bin:/bin"));
  EXPECT_THAT(environment, Contains("HOME=/home/ada"));
  EXPECT_THAT(environment, Contains("LANG=de_DE.UTF-8"));
  EXPECT_THAT(environment, Contains("XDG_RUNTIME_DIR=/run/user/7"));
  for (const char* name : {"AWS", "LD_", "SSH_", "TERM=", "TZ=", "LC_ALL=", "HTTP"}) {
    EXPECT_THAT(environment, Not(Contains(StartsWith(name))));
  }
}

TEST(Environment, TakesTheTerminalsNameOnlyForATerminal) { EXPECT_THAT(made({}, true), Contains("TERM=xterm")); }

TEST(Environment, PassesByNameAndSetsByValue) {
  const auto environment = made({.pass = {{.name = "AWS_PROFILE"}, {.name = "ABSENT"}},
                                 .set = {{.name = "CI", .value = "1"}, {.name = "LANG", .value = "C"}}});
  EXPECT_THAT(environment, Contains("AWS_PROFILE=work"));
  EXPECT_THAT(environment, Contains("CI=1"));
  EXPECT_THAT(environment, Contains("LANG=C"));
  EXPECT_THAT(environment, Not(Contains(StartsWith("ABSENT"))));
}

TEST(Environment, RefusesALoadersVariableWithoutAReason) {
  for (const char* name : {"LD_PRELOAD", "LD_AUDIT", "GCONV_PATH", "BASH_ENV", "NODE_OPTIONS"}) {
    const auto refused = make_environment({.pass = {{.name = name}}}, person(), kInside, {}, false);
    ASSERT_FALSE(refused) << name;
    EXPECT_EQ(refused.error().kind(), ErrorKind::invalid_input);
    EXPECT_THAT(refused.error().render(), HasSubstr(name));
  }
  EXPECT_THAT(made({.pass = {{.name = "LD_PRELOAD", .reason = "jemalloc"}}}), Contains("LD_PRELOAD=/evil.so"));
}

TEST(Environment, RefusesWhatIsNoName) {
  EXPECT_FALSE(make_environment({.pass = {{.name = "A=B"}}}, person(), kInside, {}, false));
  EXPECT_FALSE(make_environment({.set = {{.name = "", .value = "x"}}}, person(), kInside, {}, false));
}

TEST(Environment, NamesTheProxyOnlyWhereThePolicyWantsOne) {
  EXPECT_THAT(made({.proxy = true}), Contains("https_proxy=http://127.0.0.1:3"));
  EXPECT_THAT(made({.proxy = true}), Contains("NO_PROXY=localhost,127.0.0.1,::1"));
}

}  // namespace
}  // namespace stockade::sandbox
