#include "sandbox/survey.h"

#include <gtest/gtest.h>

#include "sandbox/view_fixture.h"

namespace stockade::sandbox {
namespace {

Person person_with(const std::string& home) {
  Person person{.uid = ::getuid(), .gid = ::getgid(), .cwd = "/home/ada/work", .environment = {}};
  if (!home.empty()) person.environment["HOME"] = home;
  return person;
}

TEST(Survey, TakesTheAccountFromThePasswdFileAndNotFromTheEnvironment) {
  FakeHost host;
  const Surroundings found = host.surroundings();
  EXPECT_EQ(found.user, "ada");
  EXPECT_EQ(found.group, "men");
  EXPECT_EQ(found.home, "/home/ada");
  EXPECT_EQ(found.shell, "/usr/bin/sh");
  EXPECT_EQ(found.state_dir, "/home/ada/.local/state/stockade");
  EXPECT_EQ(for_policy(found).home, "/home/ada");
  EXPECT_EQ(found.runtime_dir, "/home/ada/.local/state/stockade/runtime");
}

TEST(Survey, BelievesHomeOnlyWhereItIsThePersonsOwnDirectory) {
  FakeHost host;
  host.make_directory("/srv/ours");
  EXPECT_EQ(survey_host(host.tree(), person_with("/srv/ours"))->home, "/srv/ours");
  Person stranger = person_with("/srv/ours");
  stranger.uid = 1234;
  EXPECT_EQ(survey_host(host.tree(), stranger)->home, "/home/ada");
  EXPECT_NE(survey_host(host.tree(), person_with("relative"))->home, "relative");
}

TEST(Survey, SaysWhereTheHomeReallyIs) {
  FakeHost host;
  host.make_directory("/data/ada/work");
  host.remove("/home/ada");
  host.link("/home/ada", "/data/ada");
  EXPECT_EQ(host.surroundings().home, "/home/ada");
  EXPECT_EQ(host.surroundings().real_home, "/data/ada");
  EXPECT_EQ(host.surroundings().cwd, "/data/ada/work");
}

TEST(Survey, FailsWhereTheCurrentDirectoryIsGone) {
  FakeHost host;
  Person person = person_with("");
  person.cwd = "/home/gone";
  EXPECT_FALSE(survey_host(host.tree(), person));
}

TEST(GitIdentity, IsReadWithoutAnyOtherKey) {
  const GitIdentity found = parse_git_identity(
      "[credential]\n\thelper = store\n\tname = wrong\n[User]\n  name = \"Ada \\\"L\\\" Byron\" # "
      "me\n\temail=ada@example.org\n"
      "[include]\n\tpath = ~/secret\n[user \"x\"]\nname = no\n");
  EXPECT_EQ(found.name, "Ada \"L\" Byron");
  EXPECT_EQ(found.email, "ada@example.org");
}

TEST(GitIdentity, RefusesControlCharacters) {
  EXPECT_EQ(parse_git_identity("[user]\nname = a\x01"
                               "b\n")
                .name,
            "");
}

TEST(Survey, PrefersTheGitIdentityOfTheHomeOverTheSharedOne) {
  FakeHost host;
  host.file("/home/ada/.config/git/config", "[user]\nname = First\nemail = first@x.org\n");
  host.file("/home/ada/.gitconfig", "[user]\nname = Second\n");
  EXPECT_EQ(host.surroundings().git_name, "Second");
  EXPECT_EQ(host.surroundings().git_email, "first@x.org");
}

}  // namespace
}  // namespace stockade::sandbox
