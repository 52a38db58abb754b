#include "net/client_hello.h"

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <memory>

namespace stockade::net {
namespace {

using namespace std::string_literals;

std::string number(size_t value, int width) {
  std::string out;
  for (int i = width - 1; i >= 0; --i) out.push_back(static_cast<char>(value >> (8 * i)));
  return out;
}
std::string vec(std::string_view body, int width) { return number(body.size(), width).append(body); }
std::string extension(uint16_t type, std::string_view body) { return number(type, 2) + vec(body, 2); }
std::string sni(std::string_view name) { return extension(0, vec("\0"s + vec(name, 2), 2)); }

struct Hello {
  std::string version = "\x03\x03";
  std::string session = vec(std::string(32, 's'), 1);
  std::string suites = vec("\x13\x01\x13\x02", 2);
  std::string compression = vec("\0"s, 1);
  std::string extensions = sni("example.com");
  std::string after;

  std::string handshake() const {
    const std::string body =
        version + std::string(32, 'r') + session + suites + compression + vec(extensions, 2) + after;
    return "\x01" + vec(body, 3);
  }
};
std::string record(std::string_view fragment) { return "\x16\x03\x01" + vec(fragment, 2); }

TEST(ClientHello, GivesNameAlpnAndVersions) {
  Hello hello;
  hello.extensions +=
      extension(16, vec(vec("h2", 1) + vec("http/1.1", 1), 2)) + extension(43, vec("\x0a\x0a\x03\x04\x03\x03", 1));
  const auto result = parse_client_hello(record(hello.handshake()));
  ASSERT_EQ(result.state, HelloState::hello) << result.reason;
  EXPECT_EQ(result.hello.server_name, "example.com");
  EXPECT_EQ(result.hello.alpn, (std::vector<std::string>{"h2", "http/1.1"}));
  EXPECT_EQ(result.hello.versions, (std::vector<uint16_t>{0x0a0a, 0x0304, 0x0303}));
  EXPECT_EQ(result.hello.legacy_version, 0x0303);
  EXPECT_FALSE(result.hello.ech);
}

TEST(ClientHello, WaitsForEveryByteAndReadsEveryFragmentation) {
  const std::string handshake = Hello().handshake();
  const std::string whole = record(handshake);
  for (size_t i = 0; i < whole.size(); ++i)
    EXPECT_EQ(parse_client_hello(whole.substr(0, i)).state, HelloState::need_more) << i;
  for (size_t size = 2; size <= handshake.size(); ++size) {
    std::string stream;
    for (size_t at = 0; at < handshake.size(); at += size)
      stream += record(std::string_view(handshake).substr(at, size));
    const auto result = parse_client_hello(stream + "\x14\x03\x03\x00\x01\x01"s);
    if ((handshake.size() + size - 1) / size > kHelloRecordLimit) {
      EXPECT_EQ(result.state, HelloState::malformed);
    } else {
      ASSERT_EQ(result.state, HelloState::hello) << size << result.reason;
      EXPECT_EQ(result.hello.server_name, "example.com");
    }
  }
}

TEST(ClientHello, SeesEveryFormOfEch) {
  for (uint16_t type : {0xfe0d, 0xfe0a, 0xffce}) {
    Hello hello;
    hello.extensions += extension(type, "anything");
    const auto result = parse_client_hello(record(hello.handshake()));
    ASSERT_EQ(result.state, HelloState::hello);
    EXPECT_TRUE(result.hello.ech) << type;
  }
}

TEST(ClientHello, MayHaveNoNameAndNoExtensions) {
  Hello hello;
  hello.extensions.clear();
  EXPECT_EQ(parse_client_hello(record(hello.handshake())).hello.server_name, std::nullopt);
  const std::string body = "\x03\x03" + std::string(32, 'r') + vec("", 1) + vec("\x13\x01", 2) + vec("\0"s, 1);
  EXPECT_EQ(parse_client_hello(record("\x01" + vec(body, 3))).state, HelloState::hello);
}

TEST(ClientHello, ThatIsNotTlsIsSaidAtOnce) {
  for (const std::string& bytes :
       {"GET / HTTP/1.1\r\n"s, "\x80\x2e\x01\x03"s, "\x15\x03\x03"s, "\x16\x02"s, "SSH-2.0"s})
    EXPECT_EQ(parse_client_hello(bytes).state, HelloState::not_tls);
  EXPECT_EQ(parse_client_hello("").state, HelloState::need_more);
  EXPECT_EQ(parse_client_hello("\x16").state, HelloState::need_more);
}

TEST(ClientHello, IsRefusedWhereTwoStacksCouldDisagree) {
  const auto with = [](auto change) {
    Hello hello;
    change(hello);
    return record(hello.handshake());
  };
  const std::string plain = Hello().handshake();
  const std::pair<const char*, std::string> cases[] = {
      {"two names",
       with([](Hello& h) { h.extensions = extension(0, vec("\0"s + vec("a.com", 2) + "\0"s + vec("b.com", 2), 2)); })},
      {"a second server_name", with([](Hello& h) { h.extensions += sni("evil.example"); })},
      {"a repeated unknown extension", with([](Hello& h) { h.extensions += extension(99, "") + extension(99, ""); })},
      {"an empty name", with([](Hello& h) { h.extensions = sni(""); })},
      {"an empty list of names", with([](Hello& h) { h.extensions = extension(0, vec("", 2)); })},
      {"an empty server_name extension", with([](Hello& h) { h.extensions = extension(0, ""); })},
      {"a NUL in the name", with([](Hello& h) { h.extensions = sni("good.com\0.evil"s); })},
      {"a space in the name", with([](Hello& h) { h.extensions = sni("good.com evil"); })},
      {"a name outside of ASCII", with([](Hello& h) { h.extensions = sni("b\xc3\xbc.de"); })},
      {"a name of 256", with([](Hello& h) { h.extensions = sni(std::string(256, 'a')); })},
      {"a name of another type", with([](Hello& h) { h.extensions = extension(0, vec("\x01" + vec("a.com", 2), 2)); })},
      {"bytes behind the names",
       with([](Hello& h) { h.extensions = extension(0, vec("\0"s + vec("a.com", 2), 2) + "x"); })},
      {"a name longer than its list", with([](Hello& h) {
         h.extensions = extension(0, vec("\0\0\x09"
                                         "a.com"s,
                                         2));
       })},
      {"a cut extension", with([](Hello& h) { h.extensions += "\x00\x10\x00\x09z"s; })},
      {"an empty ALPN", with([](Hello& h) { h.extensions += extension(16, vec("", 2)); })},
      {"an empty ALPN name", with([](Hello& h) { h.extensions += extension(16, vec(vec("", 1), 2)); })},
      {"bytes behind ALPN", with([](Hello& h) { h.extensions += extension(16, vec(vec("h2", 1), 2) + "x"); })},
      {"odd versions", with([](Hello& h) { h.extensions += extension(43, vec("\x03\x04\x03", 1)); })},
      {"no versions", with([](Hello& h) { h.extensions += extension(43, vec("", 1)); })},
      {"bytes behind versions", with([](Hello& h) { h.extensions += extension(43, vec("\x03\x04", 1) + "x"); })},
      {"a pre_shared_key before others", with([](Hello& h) { h.extensions = extension(41, "x") + h.extensions; })},
      {"bytes behind the extensions", with([](Hello& h) { h.after = "x"; })},
      {"SSL 2 inside", with([](Hello& h) { h.version = "\x02\x00"s; })},
      {"a session id of 33", with([](Hello& h) { h.session = vec(std::string(33, 's'), 1); })},
      {"odd cipher suites", with([](Hello& h) { h.suites = vec("\x13\x01\x13", 2); })},
      {"no cipher suite", with([](Hello& h) { h.suites = vec("", 2); })},
      {"no null compression", with([](Hello& h) { h.compression = vec("\x01", 1); })},
      {"another handshake message", record("\x02" + plain.substr(1))},
      {"data behind it in its record", record(plain + "\x0b")},
      {"data behind it that has not arrived", record(plain + "\x0b").substr(0, plain.size() + 5)},
      {"an alert between its records", record(plain.substr(0, 20)) + "\x15\x03\x01\x00\x02\x01\x00"s},
      {"an empty record", record("") + record(plain)},
      {"a record that is too long", "\x16\x03\x01\x40\x01"s + plain},
      {"a record of version 3.9", "\x16\x03\x09"s + vec(plain, 2)},
      {"a length over the limit", record("\x01\x01\x00\x00"s + std::string(100, 'x'))},
      {"a cut body", record("\x01" + vec("\x03\x03", 3))},
  };
  for (const auto& [name, bytes] : cases) {
    const auto result = parse_client_hello(bytes);
    EXPECT_EQ(result.state, HelloState::malformed) << name;
    EXPECT_FALSE(result.reason.empty()) << name;
  }
}

TEST(ClientHello, OfOpensslIsRead) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), SSL_free);
  BIO* in = BIO_new(BIO_s_mem());
  BIO* out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), in, out);
  SSL_set_tlsext_host_name(ssl.get(), "api.example.com");
  const unsigned char protocols[] = "\x02h2\x08http/1.1";
  SSL_set_alpn_protos(ssl.get(), protocols, sizeof(protocols) - 1);
  SSL_set_connect_state(ssl.get());
  SSL_do_handshake(ssl.get());
  char* data = nullptr;
  const long size = BIO_get_mem_data(out, &data);
  const auto result = parse_client_hello(std::string_view(data, static_cast<size_t>(size)));
  ASSERT_EQ(result.state, HelloState::hello) << result.reason;
  EXPECT_EQ(result.hello.server_name, "api.example.com");
  EXPECT_EQ(result.hello.alpn, (std::vector<std::string>{"h2", "http/1.1"}));

  // And our alert is understood.
  const auto alert = tls_alert_record(TlsAlert::unrecognized_name);
  BIO_write(in, alert.data(), static_cast<int>(alert.size()));
  EXPECT_LE(SSL_do_handshake(ssl.get()), 0);
  EXPECT_EQ(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_TLSV1_UNRECOGNIZED_NAME);
  ERR_clear_error();
}

}  // namespace
}  // namespace stockade::net
