#include "sandbox/trust.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/tls_authority.h"
#include "sandbox/java_store.h"
#include "sandbox/nss_store.h"
#include "sandbox/pem.h"
#include "sandbox/view_fixture.h"

namespace stockade::sandbox {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::StartsWith;

// A P-256 authority as `openssl req -x509` makes one.
constexpr const char* kAuthority = R"(-----BEGIN CERTIFICATE-----
MIIBmjCCAUCgAwIBAgIUSonhqkXxLrwRn/F8Lo9ED0yA/c0wCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOU3RvY2thZGUsIHRlc3QwHhcNMjYxMTI4MTgwNDIyWhcNMjYx
MjI4MTgwNDIyWjAZMRcwFQYDVQQDDA5TdG9ja2FkZSwgdGVzdDBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABM2PMYd7D2M4NV6zwBuW14AkTD5KEOyKvojQjyEWBicP
qZSGWdMWLb2hBxiSvrvozBdvPF+2rEb1PUCshvqiHaijZjBkMB0GA1UdDgQWBBSf
i4o759iWb2uePbuVPHse7sNLEzAfBgNVHSMEGDAWgBSfi4o759iWb2uePbuVPHse
7sNLEzASBgNVHRMBAf8ECDAGAQH/AgEAMA4GA1UdDwEB/wQEAwICBDAKBggqhkjO
PQQDAgNIADBFAiA4Qa/uh6bZT2IYJHb2VYdZ5v/UqT7lkUOnQg6B0UrP6AIhAMg0
SaAwqyY3T8E4B7u2wBWCwt0S7S8d4y6w363JqcVx
-----END CERTIFICATE-----
)";

const std::string kBundle = "/etc/ssl/certs/ca-certificates.crt";
const std::string kJavaStore = "/etc/ssl/certs/java/cacerts";

struct Made {
  std::vector<Mount> mounts;
  std::vector<std::pair<std::string, std::string>> variables;
};

Made made_on(const FakeHost& host, const std::vector<std::string>& search_path = {"/usr/bin"}) {
  Made made;
  made.mounts = {{.kind = MountKind::bind, .source = "/usr", .target = "/usr"},
                 {.kind = MountKind::bind, .source = "/etc/ssl/certs", .target = "/etc/ssl/certs"}};
  const auto done =
      add_trust(host.tree(), {.home = "/home/ada", .search_path = search_path}, made.mounts, made.variables);
  EXPECT_TRUE(done) << done.error().render();
  return made;
}

TEST(Trust, CompletesTheBundlesOfTheHostAndNamesThem) {
  FakeHost host;
  host.file(kBundle, "roots");
  host.file("/etc/ssl/cert.pem", "roots of another");
  const Made made = made_on(host);
  EXPECT_EQ(find_mount(made.mounts, kBundle)->content, "roots\n");
  EXPECT_EQ(find_mount(made.mounts, "/etc/ssl/cert.pem")->kind, MountKind::trust);
  EXPECT_THAT(made.variables, Contains(Pair("SSL_CERT_FILE", kBundle)));
  EXPECT_THAT(made.variables, Contains(Pair("NODE_EXTRA_CA_CERTS", "/run/stockade/authority.pem")));
}

TEST(Trust, AddsAHashedNameToTheHostsDirectory) {
  FakeHost host;
  host.file(kBundle, "roots");
  const Made made = made_on(host);
  const Mount* directory = find_mount(made.mounts, "/etc/ssl/certs");
  EXPECT_EQ(directory->kind, MountKind::overlay_read);
  const std::string name = std::string(net::kAuthorityHash) + ".0";
  EXPECT_THAT(directory->added, ElementsAre(name));
  const Mount* hashed = find_mount(made.mounts, "/etc/ssl/certs/" + name);
  ASSERT_TRUE(hashed);
  EXPECT_TRUE(hashed->optional);
}

TEST(Trust, RefusesAHostWithoutRoots) {
  FakeHost host;
  Made made;
  const std::vector<std::string> none;
  const auto done = add_trust(host.tree(), {.home = "/h", .search_path = none}, made.mounts, made.variables);
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().render(), HasSubstr("ca-certificates"));
}

TEST(Trust, MakesTheStoreOfEveryJavaThatIsThereOnce) {
  FakeHost host;
  host.file(kBundle, kAuthority);
  host.file(kJavaStore, "of the distribution");
  for (const char* home : {"/usr/lib/jvm/java-17", "/usr/lib/jvm/java-21"})
    host.link(std::string(home) + "/lib/security/cacerts", kJavaStore);
  host.file("/usr/lib/jvm/java-8/jre/lib/security/cacerts", "of its own");
  host.program("/usr/share/jdk/bin/java");
  host.file("/usr/share/jdk/lib/security/cacerts", "by PATH");
  host.link("/usr/bin/java", "/usr/share/jdk/bin/java");
  host.file("/opt/hidden/lib/security/cacerts", "not shown inside");
  host.program("/opt/hidden/bin/java");
  const Made made = made_on(host, {"/usr/bin", "/opt/hidden/bin"});
  std::vector<std::string> stores;
  for (const Mount& mount : made.mounts)
    if (mount.form == TrustForm::jks) stores.push_back(mount.target);
  EXPECT_THAT(stores, testing::UnorderedElementsAre(kJavaStore, "/usr/lib/jvm/java-8/jre/lib/security/cacerts",
                                                    "/usr/share/jdk/lib/security/cacerts"));
  const std::string& head = find_mount(made.mounts, kJavaStore)->content;
  EXPECT_THAT(head, StartsWith(std::string_view("\xfe\xed\xfe\xed\0\0\0\2\0\0\0\2", 12)));
  EXPECT_THAT(head, HasSubstr(certificates_in(kAuthority).at(0)));
}

TEST(Trust, GivesNoStoreForJavaWhereThereIsNone) {
  FakeHost host;
  host.file(kBundle, "roots");
  for (const Mount& mount : made_on(host).mounts) EXPECT_NE(mount.form, TrustForm::jks) << mount.target;
}

TEST(Trust, EndsEachFormWithTheAuthority) {
  const auto ending = [](TrustForm form, std::string_view authority) {
    return trust_ending({.kind = MountKind::trust, .content = "head", .form = form}, authority);
  };
  const std::string der = certificates_in(kAuthority).at(0);
  EXPECT_EQ(*ending(TrustForm::pem, kAuthority), kAuthority);
  EXPECT_THAT(*ending(TrustForm::jks, kAuthority), HasSubstr(der));
  EXPECT_THAT(*ending(TrustForm::nss, kAuthority), HasSubstr(der));
  for (const TrustForm form : {TrustForm::jks, TrustForm::nss}) {
    EXPECT_FALSE(ending(form, "no certificate"));
    EXPECT_FALSE(ending(form, std::string(kAuthority) + kAuthority));
  }
}

TEST(Pem, ReadsCertificatesAmongComments) {
  const std::string one = kAuthority;
  EXPECT_THAT(certificates_in("# a root\r\n" + one + "\n# another\n" + one), testing::SizeIs(2));
  EXPECT_THAT(certificates_in("-----BEGIN CERTIFICATE-----\nAAEC\nAw==\n-----END CERTIFICATE-----\n"),
              ElementsAre(std::string("\0\1\2\3", 4)));
  for (const char* broken : {"", "-----BEGIN CERTIFICATE-----\nAAEC\n", "-----END CERTIFICATE-----",
                             "-----BEGIN CERTIFICATE-----\nA*EC\n-----END CERTIFICATE-----\n",
                             "-----BEGIN CERTIFICATE-----\nAA=C\n-----END CERTIFICATE-----\n",
                             "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"})
    EXPECT_THAT(certificates_in(broken), IsEmpty()) << broken;
}

// That SQLite, NSS and keytool read what is written here is shown by tests/system/test_clients.py.
TEST(NssStore, IsTwoPagesOrAnError) {
  const std::string der = certificates_in(kAuthority).at(0);
  const auto store = nss_store(der);
  ASSERT_TRUE(store);
  EXPECT_EQ(store->size(), 8192u);
  EXPECT_THAT(*store, StartsWith("SQLite format 3"));
  EXPECT_FALSE(nss_store(""));
  EXPECT_FALSE(nss_store(der + "x"));
  for (size_t size = 1; size < der.size(); ++size) EXPECT_FALSE(nss_store(der.substr(0, size))) << size;
  const std::string long_name = std::string("\x30\x82\x10\x00", 4) + std::string(0x1000, 'x');
  EXPECT_FALSE(nss_store(long_name));
}

TEST(JavaStore, EndsWithADigestOfAllBeforeIt) {
  const std::string head = java_store_head({"one"});
  const std::string ending = java_store_ending(head, "two");
  EXPECT_NE(ending, java_store_ending(java_store_head({"ome"}), "two"));
  EXPECT_EQ(head.size(), 12u + 4 + 2 + 6 + 8 + 2 + 5 + 4 + 3);
  EXPECT_EQ(ending.size(), 4u + 2 + 12 + 8 + 2 + 5 + 4 + 3 + 20);
}

}  // namespace
}  // namespace stockade::sandbox
