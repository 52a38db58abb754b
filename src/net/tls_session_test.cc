#include "net/tls_session.h"

#include <gtest/gtest.h>
#include <openssl/x509.h>

#include "net/tls_authority.h"

namespace stockade::net {

namespace {

struct Pair {
  TlsSession client;
  TlsSession server;

  // Until neither has more to say; the first error of either side.
  Result<void> exchange() {
    while (client.has_output() || server.has_output()) {
      if (const std::string bytes = client.take_output(); !bytes.empty()) STOCKADE_TRY(server.feed(bytes));
      if (const std::string bytes = server.take_output(); !bytes.empty()) STOCKADE_TRY(client.feed(bytes));
    }
    return {};
  }
};

class TlsSessionTest : public ::testing::Test {
 protected:
  Pair connect(const std::string& asked, const std::string& shown, std::vector<std::string> offered = {},
               std::vector<std::string> spoken = {}) {
    const auto address = IpAddress::parse(asked);
    auto client = TlsSession::to_server(client_, asked, address ? &*address : nullptr, offered);
    auto server = TlsSession::from_client(server_, **authority_.leaf_for(shown), spoken);
    return {std::move(client.value()), std::move(server.value())};
  }

  CertificateAuthority authority_ = CertificateAuthority::create("test", std::chrono::system_clock::now()).value();
  TlsContext client_ = TlsContext::for_client(authority_.pem()).value();
  TlsContext server_ = TlsContext::for_server().value();
};

TEST_F(TlsSessionTest, CarriesBytesBothWays) {
  Pair pair = connect("api.example.com", "api.example.com");
  ASSERT_TRUE(pair.exchange());
  ASSERT_EQ(pair.client.state(), TlsState::open);
  ASSERT_EQ(pair.server.state(), TlsState::open);
  const std::string large(100'000, 'x');
  ASSERT_TRUE(pair.client.write(large));
  ASSERT_TRUE(pair.exchange());
  std::string arrived;
  while (arrived.size() < large.size()) {
    const auto piece = pair.server.read(16384);
    ASSERT_TRUE(piece && !piece->empty());
    arrived += *piece;
  }
  EXPECT_EQ(arrived, large);
  ASSERT_TRUE(pair.server.write("answer"));
  ASSERT_TRUE(pair.exchange());
  EXPECT_EQ(pair.client.read(100).value(), "answer");
  EXPECT_EQ(pair.client.read(100).value(), "");
}

TEST_F(TlsSessionTest, TellsAnEndFromACut) {
  Pair pair = connect("a.example", "a.example");
  ASSERT_TRUE(pair.exchange());
  EXPECT_TRUE(pair.client.cut_off());
  pair.server.close();
  ASSERT_TRUE(pair.exchange());
  EXPECT_EQ(pair.client.read(1).value(), "");
  EXPECT_EQ(pair.client.state(), TlsState::closed);
  EXPECT_FALSE(pair.client.cut_off());
}

TEST_F(TlsSessionTest, AgreesOnTheFirstProtocolOfOursThatTheClientOffers) {
  struct Case {
    std::vector<std::string> offered, spoken;
    std::string agreed;
  };
  for (const Case& each :
       {Case{{"h2", "http/1.1"}, {"http/1.1"}, "http/1.1"}, Case{{"http/1.1", "h2"}, {"h2", "http/1.1"}, "h2"},
        Case{{"h2"}, {"http/1.1"}, ""}, Case{{}, {"http/1.1"}, ""}}) {
    Pair pair = connect("a.example", "a.example", each.offered, each.spoken);
    ASSERT_TRUE(pair.exchange());
    EXPECT_EQ(pair.client.alpn(), each.agreed);
    EXPECT_EQ(pair.server.alpn(), each.agreed);
  }
}

TEST_F(TlsSessionTest, RefusesACertificateForAnotherName) {
  for (const auto& [asked, shown] : {std::pair("a.example", "b.example"),
                                     {"x.a.example", "a.example"},
                                     {"a.example", "192.0.2.1"},
                                     {"192.0.2.1", "192.0.2.2"},
                                     {"192.0.2.1", "a.example"}}) {
    Pair pair = connect(asked, shown);
    const auto done = pair.exchange();
    ASSERT_FALSE(done) << asked << " " << shown;
    EXPECT_EQ(done.error().kind(), ErrorKind::denied);
    EXPECT_NE(done.error().message().find(asked), std::string::npos) << done.error().message();
    EXPECT_EQ(pair.client.state(), TlsState::failed);
    EXPECT_TRUE(pair.client.has_output()) << "the server is told";
  }
  Pair by_address = connect("192.0.2.1", "192.0.2.1");
  EXPECT_TRUE(by_address.exchange());
}

TEST_F(TlsSessionTest, RefusesAnAuthorityThatItDoesNotKnow) {
  const auto other = CertificateAuthority::create("other", std::chrono::system_clock::now());
  client_ = TlsContext::for_client(other->pem()).value();
  const auto done = connect("a.example", "a.example").exchange();
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message().find("certificate"), std::string::npos);
}

TEST_F(TlsSessionTest, RefusesAnAuthorityWhoseTimeIsOver) {
  authority_ =
      CertificateAuthority::create("old", std::chrono::system_clock::now() - kAuthorityLife - std::chrono::hours(1))
          .value();
  client_ = TlsContext::for_client(authority_.pem()).value();
  const auto done = connect("a.example", "a.example").exchange();
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message().find("expired"), std::string::npos) << done.error().message();
}

TEST_F(TlsSessionTest, FailsOnGarbageAndStaysFailed) {
  Pair pair = connect("a.example", "a.example");
  EXPECT_FALSE(pair.server.feed("GET / HTTP/1.1\r\n\r\n"));
  EXPECT_EQ(pair.server.state(), TlsState::failed);
  EXPECT_FALSE(pair.server.feed("more"));
  EXPECT_FALSE(pair.server.write("x"));
}

TEST(TlsContext, WantsACertificateToTrust) { EXPECT_FALSE(TlsContext::for_client("no certificate")); }

TEST(CertificateAuthority, KeepsLeavesAndForgetsTheOldest) {
  auto authority = CertificateAuthority::create("test", std::chrono::system_clock::now()).value();
  const Certificate* first = authority.leaf_for("a.example").value();
  EXPECT_EQ(authority.leaf_for("a.example").value(), first);
  for (size_t i = 0; i < kLeaves; ++i) ASSERT_TRUE(authority.leaf_for("h" + std::to_string(i) + ".example"));
  EXPECT_EQ(authority.leaves(), kLeaves);
}

TEST(CertificateAuthority, IsFoundByItsHashInADirectoryOfCertificates) {
  auto authority = CertificateAuthority::create(std::string(kAuthorityName), std::chrono::system_clock::now()).value();
  X509_NAME* issuer = X509_get_issuer_name(authority.leaf_for("a.example").value()->x509());
  EXPECT_EQ(fmt::format("{:08x}", X509_NAME_hash_ex(issuer, nullptr, nullptr, nullptr)), kAuthorityHash);
}

TEST(CertificateAuthority, NamesHostsLongerThanACommonName) {
  auto authority = CertificateAuthority::create("test", std::chrono::system_clock::now()).value();
  const std::string host = std::string(60, 'a') + "." + std::string(60, 'b') + ".example";
  auto client = TlsSession::to_server(TlsContext::for_client(authority.pem()).value(), host, nullptr, {});
  EXPECT_TRUE(client);
  EXPECT_TRUE(authority.leaf_for(host));
}

}  // namespace

}  // namespace stockade::net
