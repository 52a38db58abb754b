#include "sandbox/etc_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sandbox/host_view.h"
#include "sandbox/view_fixture.h"

namespace stockade::sandbox {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::vector<Mount> etc_of(const FakeHost& host) {
  std::vector<Mount> mounts;
  const Surroundings surroundings = host.surroundings();
  EXPECT_TRUE(add_etc(host.tree(), surroundings, choose_inside(surroundings, {}, "stockade"), mounts));
  return mounts;
}

TEST(EtcFiles, ShowNoAccountButTheAgents) {
  FakeHost host;
  const auto mounts = etc_of(host);
  const Mount* passwd = find_mount(mounts, "/etc/passwd");
  ASSERT_TRUE(passwd);
  EXPECT_EQ(passwd->kind, MountKind::content);
  EXPECT_THAT(passwd->content, HasSubstr("ada:x:1234:1234:ada:/home/ada:/usr/bin/sh\n"));
  EXPECT_THAT(passwd->content, Not(HasSubstr("eve")));
  EXPECT_THAT(find_mount(mounts, "/etc/group")->content, Not(HasSubstr("eve")));
}

TEST(EtcFiles, ShowNothingThatIsNotOnTheList) {
  FakeHost host;
  for (const char* name : {"shadow", "sudoers", "machine-id", "ssh/ssh_host_rsa_key", "ssl/private/key.pem", "profile",
                           "stockade/policy.yaml", "pki/tls/private/x", "maven/settings.xml", "npmrc", "pip.conf"}) {
    host.file("/etc/" + std::string(name), "secret");
  }
  for (const Mount& mount : etc_of(host)) {
    for (const char* name :
         {"shadow", "sudoers", "machine-id", "/ssh", "private", "profile", "stockade", "settings", "npmrc", "pip"}) {
      EXPECT_THAT(mount.target, Not(HasSubstr(name)));
      EXPECT_THAT(mount.source, Not(HasSubstr(name)));
    }
  }
}

TEST(EtcFiles, ShowCertificatesWithoutTheKeysAmongThem) {
  FakeHost host;
  host.make_directory("/etc/ssl/certs/java");
  host.file("/etc/ssl/certs/ca-certificates.crt", "certificates");
  host.file("/etc/ssl/certs/mine.key", "key");
  const auto mounts = etc_of(host);
  const Mount* certificates = find_mount(mounts, "/etc/ssl/certs");
  ASSERT_TRUE(certificates);
  EXPECT_EQ(certificates->kind, MountKind::bind);
  EXPECT_FALSE(certificates->writable);
  EXPECT_THAT(certificates->hidden, ElementsAre("mine.key"));
}

TEST(EtcFiles, KeepLinksWhoseTargetsAreVisibleAndCopyTheOthers) {
  FakeHost host;
  host.file("/usr/share/zoneinfo/Europe/Paris", "zone");
  host.link("/etc/localtime", "/usr/share/zoneinfo/Europe/Paris");
  host.file("/usr/lib/os-release", "ID=fake");
  host.link("/etc/os-release", "../usr/lib/os-release");
  host.file("/run/made/services", "http 80/tcp");
  host.link("/etc/services", "/run/made/services");
  host.link("/etc/protocols", "/root/secret");
  const auto mounts = etc_of(host);
  EXPECT_EQ(find_mount(mounts, "/etc/localtime")->content, "/usr/share/zoneinfo/Europe/Paris");
  EXPECT_EQ(find_mount(mounts, "/etc/os-release")->kind, MountKind::symlink);
  EXPECT_EQ(find_mount(mounts, "/etc/services")->content, "http 80/tcp");
  EXPECT_EQ(find_mount(mounts, "/etc/protocols"), nullptr);
}

TEST(EtcFiles, BindWhatIsLargeAndCopyWhatIsSmall) {
  FakeHost host;
  host.file("/etc/ld.so.cache", std::string(20'000, 'x'));
  host.file("/etc/python3/debian_config", "x");
  host.file("/etc/java-17-openjdk/a/b", "x");
  const auto mounts = etc_of(host);
  EXPECT_EQ(find_mount(mounts, "/etc/ld.so.cache")->kind, MountKind::bind);
  EXPECT_EQ(find_mount(mounts, "/etc/java-17-openjdk")->kind, MountKind::bind);
  EXPECT_TRUE(find_mount(mounts, "/etc/python3/debian_config") || find_mount(mounts, "/etc/python3"));
}

TEST(EtcFiles, QuoteTheGitIdentity) {
  Surroundings surroundings;
  surroundings.git_name = "A \"B\" \\C";
  surroundings.git_email = "a@b";
  EXPECT_EQ(make_gitconfig(surroundings, {.user = "ada"}),
            "[user]\n\tname = \"A \\\"B\\\" \\\\C\"\n\temail = \"a@b\"\n");
}

TEST(EtcFiles, GiveRootsAgentAnUnprivilegedName) {
  Surroundings root;
  root.user = "root";
  root.group = "root";
  root.home = "/root";
  const Inside inside = choose_inside(root, {}, "stockade");
  EXPECT_EQ(inside.uid, 1000u);
  EXPECT_EQ(inside.user, "agent");
  EXPECT_EQ(make_passwd(inside),
            "root:x:0:0:root:/nonexistent:/usr/sbin/nologin\nagent:x:1000:1000:agent:/root:/bin/sh\n"
            "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n");
}

}  // namespace
}  // namespace stockade::sandbox
