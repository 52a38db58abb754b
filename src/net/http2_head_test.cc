// Each case is judged twice: by the head parser alone, and by a whole session that is fed the head as frames.
#include "net/http2_head.h"

#include <gtest/gtest.h>

#include "net/http2_fixture.h"

namespace stockade::net {
namespace {

using namespace http2_fixture;

constexpr bool kGood = true;
constexpr bool kBad = false;

struct Case {
  std::string name;
  std::vector<HttpField> fields;
  bool good = false;
};

std::vector<HttpField> with(std::vector<HttpField> more) { return request_fields(std::move(more)); }

// The usual request with one pseudo-field changed; an empty optional leaves it out.
std::vector<HttpField> but(std::string_view name, std::optional<std::string> value, std::vector<HttpField> more = {}) {
  std::vector<HttpField> fields;
  for (HttpField& field : request_fields()) {
    if (field.name != name) {
      fields.push_back(field);
    } else if (value) {
      fields.push_back({field.name, *value});
    }
  }
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

std::vector<Case> request_cases() {
  std::vector<Case> cases = {
      {"9113 8.3.1 the four pseudo-fields are a request", with({}), kGood},
      {"9113 8.3 pseudo-fields in another order",
       {{":path", "/"}, {":authority", "a.example"}, {":scheme", "https"}, {":method", "GET"}},
       kGood},
      {"9113 8.3 a pseudo-field behind an ordinary one",
       {{":method", "GET"}, {":scheme", "https"}, {"x", "y"}, {":authority", "a.example"}, {":path", "/"}},
       kBad},
      {"9113 8.3.1 without :method", but(":method", std::nullopt), kBad},
      {"9113 8.3.1 without :scheme", but(":scheme", std::nullopt), kBad},
      {"9113 8.3.1 without :path", but(":path", std::nullopt), kBad},
      {"9113 8.3.1 an empty :path", but(":path", ""), kBad},
      {"9113 8.3.1 an empty :method", but(":method", ""), kBad},
      {"9113 8.3.1 an empty :scheme", but(":scheme", ""), kBad},
      {"9113 8.3.1 an empty :authority", but(":authority", ""), kBad},
      {"9113 8.3.1 neither :authority nor Host", but(":authority", std::nullopt), kBad},
      {"9113 8.3.1 Host instead of :authority", but(":authority", std::nullopt, {{"host", "a.example"}}), kGood},
      {"9113 8.3.1 Host equal to :authority", with({{"host", "a.example"}}), kGood},
      {"9113 8.3.1 Host equal but for its case", with({{"host", "A.Example"}}), kGood},
      {"9113 8.3.1 Host equal but for the usual port", with({{"host", "a.example:443"}}), kGood},
      {"9113 8.3.1 Host that differs from :authority", with({{"host", "b.example"}}), kBad},
      {"9113 8.3.1 Host with another port", with({{"host", "a.example:80"}}), kBad},
      {"9113 8.3.1 an empty Host beside :authority", with({{"host", ""}}), kBad},
      {"9110 7.2 two equal Hosts", with({{"host", "a.example"}, {"host", "a.example"}}), kBad},
      {"9110 7.2 two Hosts without :authority",
       but(":authority", std::nullopt, {{"host", "a.example"}, {"host", "b.example"}}), kBad},
      {"9113 8.3.1 a user name in :authority", but(":authority", "user@a.example"), kBad},
      {"9113 8.3.1 a user name and password in :authority", but(":authority", "user:pass@a.example"), kBad},
      {"3986 3.2.2 a percent-encoded host", but(":authority", "a%2eexample"), kBad},
      {"3986 3.2.2 an IPv6 host", but(":authority", "[2001:db8::1]:443"), kGood},
      {"3986 3.2.2 an IPv6 host without brackets", but(":authority", "2001:db8::1"), kBad},
      {"3986 3.2.2 an IPv6 host with a zone", but(":authority", "[fe80::1%25eth0]"), kBad},
      {"3986 3.2.3 a port", but(":authority", "a.example:8443"), kGood},
      {"3986 3.2.3 an empty port", but(":authority", "a.example:"), kBad},
      {"3986 3.2.3 port zero", but(":authority", "a.example:0"), kBad},
      {"3986 3.2.3 a port beyond 65535", but(":authority", "a.example:65536"), kBad},
      {"3986 3.2.3 a port that is a word", but(":authority", "a.example:https"), kBad},
      {"a path in :authority", but(":authority", "a.example/x"), kBad},
      {"two hosts in :authority", but(":authority", "a.example,b.example"), kBad},
      {"a space in :authority", but(":authority", "a.example b.example"), kBad},
      {"CRLF in :authority", but(":authority", "a.example\r\nx: y"), kBad},
      {"9113 8.3.1 an absolute URL as :path", but(":path", "https://a.example/"), kBad},
      {"9113 8.3.1 an absolute http URL as :path", but(":path", "http://internal/"), kBad},
      {"9113 8.3.1 a path without its slash", but(":path", "x"), kBad},
      {"9113 8.3.1 an authority as :path", but(":path", "a.example:443"), kBad},
      {"9113 8.3.1 \"*\" in GET", but(":path", "*"), kBad},
      {"9113 8.3.1 \"*\" in OPTIONS",
       {{":method", "OPTIONS"}, {":scheme", "https"}, {":authority", "a.example"}, {":path", "*"}},
       kGood},
      {"9113 8.3.1 a query", but(":path", "/x?y=z&z=/"), kGood},
      {"9113 8.3.1 a path of two slashes", but(":path", "//x"), kGood},
      {"3986 3.5 a fragment in :path", but(":path", "/x#y"), kBad},
      {"3986 a space in :path", but(":path", "/x y"), kBad},
      {"3986 a tab in :path", but(":path", "/x\ty"), kBad},
      {"smuggling: a version in :path", but(":path", "/ HTTP/1.1"), kBad},
      {"smuggling: CRLF in :path", but(":path", "/ HTTP/1.1\r\nHost: b\r\n\r\nGET /admin"), kBad},
      {"smuggling: a bare LF in :path", but(":path", "/\nx"), kBad},
      {"NUL in :path", but(":path", "/\0x"s), kBad},
      {"bytes beyond ASCII in :path", but(":path", "/\xc3\xa4"), kBad},
      {"DEL in :path", but(":path", "/\x7f"), kBad},
      {"9113 8.3.1 http where the connection is https", but(":scheme", "http"), kBad},
      {"9113 8.3.1 an unknown scheme", but(":scheme", "ftp"), kBad},
      {"9113 8.3.1 a scheme in upper case", but(":scheme", "HTTPS"), kBad},
      {"smuggling: a URL in :scheme", but(":scheme", "https://evil.example/?"), kBad},
      {"smuggling: CRLF in :scheme", but(":scheme", "https\r\nx: y"), kBad},
      {"9110 9 a method of our own", but(":method", "PURGE"), kGood},
      {"9110 9 a method with a space", but(":method", "GET /"), kBad},
      {"smuggling: a request line in :method", but(":method", "GET / HTTP/1.1\r\nHost: b\r\n\r\nGET"), kBad},
      {"9110 9 a method of 25 letters", but(":method", "ABCDEFGHIJKLMNOPQRSTUVWXY"), kBad},
      {"9113 8.5 CONNECT where it is not enabled", {{":method", "CONNECT"}, {":authority", "a.example:443"}}, kBad},
      {"8441 4 :protocol where it is not enabled",
       {{":method", "CONNECT"},
        {":protocol", "websocket"},
        {":scheme", "https"},
        {":authority", "a.example"},
        {":path", "/"}},
       kBad},
      // Fields.
      {"9113 8.2.1 a field name in upper case", with({{"X-Custom", "y"}}), kBad},
      {"9113 8.2.1 one upper-case letter in a field name", with({{"x-customE", "y"}}), kBad},
      {"9113 8.2.1 an empty field name", with({{"", "y"}}), kBad},
      {"9113 8.2.1 a space in a field name", with({{"x y", "z"}}), kBad},
      {"9113 8.2.1 a colon in a field name", with({{"x:y", "z"}}), kBad},
      {"smuggling: a colon and CRLF in a field name", with({{"x: y\r\nz", "1"}}), kBad},
      {"9113 8.2.1 NUL in a field name", with({{"x\0y"s, "z"}}), kBad},
      {"9113 8.2.1 a byte beyond ASCII in a field name", with({{"x\xe4", "z"}}), kBad},
      {"9110 5.1 a delimiter in a field name", with({{"x(y)", "z"}}), kBad},
      {"9113 8.2.1 NUL in a value", with({{"x", "a\0b"s}}), kBad},
      {"9113 8.2.1 CR in a value", with({{"x", "a\rb"}}), kBad},
      {"9113 8.2.1 LF in a value", with({{"x", "a\nb"}}), kBad},
      {"smuggling: a whole request in a value", with({{"x", "a\r\n\r\nGET /admin HTTP/1.1\r\nHost: b\r\n\r\n"}}), kBad},
      {"smuggling: Transfer-Encoding in a value", with({{"x", "a\r\nTransfer-Encoding: chunked"}}), kBad},
      {"9110 5.5 another control character in a value",
       with({{"x",
              "a\x01"
              "b"}}),
       kBad},
      {"9110 5.5 DEL in a value",
       with({{"x",
              "a\x7f"
              "b"}}),
       kBad},
      {"9113 8.2.1 a space in front of a value", with({{"x", " a"}}), kBad},
      {"9113 8.2.1 a space behind a value", with({{"x", "a "}}), kBad},
      {"9113 8.2.1 a tab in front of a value", with({{"x", "\ta"}}), kBad},
      {"9110 5.5 a tab inside of a value", with({{"x", "a\tb"}}), kGood},
      {"9110 5.5 bytes beyond ASCII in a value", with({{"x", "\xc3\xa4"}}), kGood},
      {"an empty value", with({{"x", ""}}), kGood},
      {"9113 8.2.2 Connection", with({{"connection", "close"}}), kBad},
      {"9113 8.2.2 Connection: keep-alive", with({{"connection", "keep-alive"}}), kBad},
      {"9113 8.2.2 Keep-Alive", with({{"keep-alive", "timeout=5"}}), kBad},
      {"9113 8.2.2 Proxy-Connection", with({{"proxy-connection", "keep-alive"}}), kBad},
      {"9113 8.2.2 Transfer-Encoding: chunked", with({{"transfer-encoding", "chunked"}}), kBad},
      {"9113 8.2.2 Transfer-Encoding: identity", with({{"transfer-encoding", "identity"}}), kBad},
      {"9113 8.2.2 Upgrade", with({{"upgrade", "h2c"}}), kBad},
      {"9113 8.2.2 TE: trailers", with({{"te", "trailers"}}), kGood},
      {"9113 8.2.2 TE: gzip", with({{"te", "gzip"}}), kBad},
      {"9113 8.2.2 TE: trailers and more", with({{"te", "trailers, deflate;q=0.5"}}), kBad},
      {"9113 3.1 HTTP2-Settings", with({{"http2-settings", "AAMAAABk"}}), kBad},
      {"smuggling: transfer_encoding", with({{"transfer_encoding", "chunked"}}), kBad},
      {"smuggling: content_length", with({{"content_length", "5"}}), kBad},
      {"smuggling: content.length", with({{"content.length", "5"}}), kBad},
      {"9110 8.6 an empty Content-Length", with({{"content-length", ""}}), kBad},
      {"9110 8.6 Content-Length with a sign", with({{"content-length", "+0"}}), kBad},
      {"9110 8.6 a negative Content-Length", with({{"content-length", "-1"}}), kBad},
      {"9110 8.6 a hexadecimal Content-Length", with({{"content-length", "0x0"}}), kBad},
      {"9110 8.6 Content-Length with a leading zero", with({{"content-length", "00"}}), kBad},
      {"9110 8.6 a list as Content-Length", with({{"content-length", "0, 0"}}), kBad},
      {"9110 8.6 a Content-Length beyond 64 bits", with({{"content-length", "99999999999999999999"}}), kBad},
      {"9110 8.6 two equal Content-Lengths", with({{"content-length", "0"}, {"content-length", "0"}}), kBad},
      {"9110 8.6 two different Content-Lengths", with({{"content-length", "0"}, {"content-length", "1"}}), kBad},
      {"9113 8.1.1 Content-Length: 0 without a body", with({{"content-length", "0"}}), kGood},
      {"9113 8.2.3 Cookie in crumbs", with({{"cookie", "a=b"}, {"cookie", "c=d"}}), kGood},
      {"9110 10.1.1 Expect: 100-continue", with({{"expect", "100-continue"}}), kGood},
      {"9110 10.1.1 another Expect", with({{"expect", "200-ok"}}), kBad},
      {"9110 10.1.1 two Expects", with({{"expect", "100-continue"}, {"expect", "100-continue"}}), kBad},
      {"ordinary fields of every kind",
       with({{"accept", "*/*"}, {"user-agent", "x/1"}, {"x-api-key", "k"}, {"priority", "u=1, i"}}), kGood},
  };
  // What has to stand in front can't be written by with().
  const auto in_front = [&](std::string name, HttpField field, bool good = kBad) {
    auto fields = request_fields();
    fields.insert(fields.begin(), std::move(field));
    cases.push_back({std::move(name), std::move(fields), good});
  };
  in_front("9113 8.3 :status in a request", {":status", "200"});
  in_front("9113 8.3 a pseudo-field of nobody", {":x", "y"});
  in_front("9113 8.3 a lone colon as a pseudo-field", {":", "y"});
  in_front("9113 8.3.1 two :methods", {":method", "GET"});
  in_front("9113 8.3.1 two different :methods", {":method", "POST"});
  in_front("9113 8.3.1 two :schemes", {":scheme", "https"});
  in_front("9113 8.3.1 two :authorities", {":authority", "a.example"});
  in_front("9113 8.3.1 two different :authorities", {":authority", "b.example"});
  in_front("9113 8.3.1 two :paths", {":path", "/"});
  in_front("9113 8.3.1 two different :paths", {":path", "/admin"});
  in_front("8441 4 :protocol in a GET", {":protocol", "websocket"});
  in_front("9113 8.2.1 a pseudo-field in upper case", {":Method", "GET"});
  in_front("9113 8.3 an ordinary field in front of all pseudo-fields", {"x", "y"});
  for (std::string_view name : {":method", ":scheme", ":authority", ":path"}) {
    auto fields = request_fields({{"x", "y"}});
    fields.push_back({std::string(name), "/"});
    cases.push_back({"9113 8.3 " + std::string(name) + " again behind the fields", fields, kBad});
  }
  // Every control character, and every byte that no token has.
  for (int byte = 0; byte < 0x20; ++byte) {
    if (byte == '\t') continue;
    cases.push_back({"9110 5.5 control character " + std::to_string(byte) + " in a value",
                     with({{"x", std::string("a") + static_cast<char>(byte) + "b"}}), kBad});
  }
  for (char byte : "\t \"(),/:;<=>?@[\\]{}\x7f\x80\xff"s)
    cases.push_back({"9110 5.6.2 byte " + std::to_string(static_cast<uint8_t>(byte)) + " in a field name",
                     with({{std::string("x") + byte + "y", "z"}}), kBad});
  for (char byte : "!#$%&'*+-.^_`|~09az"s)
    cases.push_back({"9110 5.6.2 byte " + std::to_string(static_cast<uint8_t>(byte)) + " in a field name is allowed",
                     with({{std::string("x") + byte + "y", "z"}}), kGood});
  return cases;
}

void judge_request(const Case& one, const H2HeadRules& rules) {
  SCOPED_TRACE(one.name);
  const auto parsed = parse_h2_request(one.fields, rules);
  EXPECT_EQ(parsed.has_value(), one.good) << (parsed ? "" : parsed.error().message());
  EXPECT_TRUE(!parsed || write_h2_request(*parsed, rules));

  H2Options options;
  options.rules = rules;
  auto server = started_server(options);
  const bool connect = one.fields[0].value == "CONNECT";
  const auto outcome = feed(*server, head(1, one.fields, !connect) + get(3));
  EXPECT_EQ(outcome.error, "");
  const auto requests = outcome.only<H2Request>();
  ASSERT_EQ(requests.size(), one.good ? 2u : 1u);
  EXPECT_EQ(requests.back().stream, 3);  // the connection lives on
  if (!one.good) {
    EXPECT_EQ(outcome.resets, (std::vector<std::pair<uint32_t, uint32_t>>{{1, 1}}));
    ASSERT_EQ(outcome.only<H2Reset>().size(), 1u);
    EXPECT_FALSE(outcome.only<H2Reset>()[0].by_peer);
    EXPECT_NE(outcome.only<H2Reset>()[0].reason, "");
  }
}

TEST(Http2Head, JudgesRequestsAloneAndInASession) {
  const auto cases = request_cases();
  for (const Case& one : cases) judge_request(one, {.scheme = "https"});
  RecordProperty("cases", static_cast<int>(cases.size()));
  EXPECT_GE(cases.size(), 150u);
}

TEST(Http2Head, JudgesConnectWhereItIsEnabled) {
  const Case cases[] = {
      {"9113 8.5 CONNECT to a host and port", {{":method", "CONNECT"}, {":authority", "a.example:443"}}, kGood},
      {"9113 8.5 with a Host that agrees",
       {{":method", "CONNECT"}, {":authority", "a.example:443"}, {"host", "a.example:443"}},
       kGood},
      {"9113 8.5 with a Host that does not",
       {{":method", "CONNECT"}, {":authority", "a.example:443"}, {"host", "b.example:443"}},
       kBad},
      {"9113 8.5 without :authority", {{":method", "CONNECT"}, {"host", "a.example:443"}}, kBad},
      {"9113 8.5 with :path", {{":method", "CONNECT"}, {":authority", "a.example:443"}, {":path", "/"}}, kBad},
      {"9113 8.5 with :scheme", {{":method", "CONNECT"}, {":authority", "a.example:443"}, {":scheme", "https"}}, kBad},
      {"9110 9.3.6 without a port", {{":method", "CONNECT"}, {":authority", "a.example"}}, kBad},
      {"9110 9.3.6 with a Content-Length",
       {{":method", "CONNECT"}, {":authority", "a.example:443"}, {"content-length", "3"}},
       kBad},
      {"8441 4 a WebSocket",
       {{":method", "CONNECT"},
        {":protocol", "websocket"},
        {":scheme", "https"},
        {":authority", "a.example"},
        {":path", "/chat"}},
       kGood},
      {"8441 4 without :scheme",
       {{":method", "CONNECT"}, {":protocol", "websocket"}, {":authority", "a.example"}, {":path", "/"}},
       kBad},
      {"8441 4 without :path",
       {{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "https"}, {":authority", "a.example"}},
       kBad},
      {"8441 4 without :authority",
       {{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "https"}, {":path", "/"}},
       kBad},
      {"8441 4 another protocol",
       {{":method", "CONNECT"},
        {":protocol", "connect-udp"},
        {":scheme", "https"},
        {":authority", "a.example"},
        {":path", "/"}},
       kBad},
      {"8441 4 an empty protocol",
       {{":method", "CONNECT"}, {":protocol", ""}, {":scheme", "https"}, {":authority", "a.example"}, {":path", "/"}},
       kBad},
      {"8441 4 two protocols",
       {{":method", "CONNECT"},
        {":protocol", "websocket"},
        {":protocol", "websocket"},
        {":scheme", "https"},
        {":authority", "a.example"},
        {":path", "/"}},
       kBad},
      {"8441 5 with a Content-Length",
       {{":method", "CONNECT"},
        {":protocol", "websocket"},
        {":scheme", "https"},
        {":authority", "a.example"},
        {":path", "/"},
        {"content-length", "0"}},
       kBad},
      {"8441 4 with Upgrade",
       {{":method", "CONNECT"},
        {":protocol", "websocket"},
        {":scheme", "https"},
        {":authority", "a.example"},
        {":path", "/"},
        {"upgrade", "websocket"}},
       kBad},
      {"8441 4 :protocol in POST",
       {{":method", "POST"},
        {":protocol", "websocket"},
        {":scheme", "https"},
        {":authority", "a.example"},
        {":path", "/"}},
       kBad},
  };
  for (const Case& one : cases) judge_request(one, {.scheme = "https", .connect = true, .extended_connect = true});
}

std::vector<HttpField> status(std::string_view code, std::vector<HttpField> more = {}) {
  more.insert(more.begin(), {":status", std::string(code)});
  return more;
}

TEST(Http2Head, JudgesResponsesAloneAndInASession) {
  const Case cases[] = {
      {"9113 8.3.2 a response", status("200"), kGood},
      {"9113 8.3.2 status 599", status("599"), kGood},
      {"9113 8.3.2 without :status", {{"x", "y"}}, kBad},
      {"9113 8.3.2 two :statuses", {{":status", "200"}, {":status", "200"}}, kBad},
      {"9113 8.3.2 :status behind a field", {{"x", "y"}, {":status", "200"}}, kBad},
      {"9113 8.3.2 :method in a response", {{":status", "200"}, {":method", "GET"}}, kBad},
      {"9113 8.3.2 :path in a response", {{":path", "/"}, {":status", "200"}}, kBad},
      {"9113 8.3.2 an unknown pseudo-field", {{":status", "200"}, {":x", "y"}}, kBad},
      {"9110 15 a status of two digits", status("20"), kBad},
      {"9110 15 a status of four digits", status("2000"), kBad},
      {"9110 15 a status that is a word", status("abc"), kBad},
      {"9110 15 status 600", status("600"), kBad},
      {"9110 15 status 099", status("099"), kBad},
      {"9110 15 an empty status", status(""), kBad},
      {"smuggling: a reason in :status", status("200 OK"), kBad},
      {"smuggling: CRLF in :status", status("200\r\nx: y"), kBad},
      {"9113 8.6 status 101", status("101"), kBad},
      {"9113 8.2.1 a field name in upper case", status("200", {{"X", "y"}}), kBad},
      {"9113 8.2.1 CRLF in a value", status("200", {{"x", "a\r\nset-cookie: b"}}), kBad},
      {"9113 8.2.1 NUL in a value", status("200", {{"x", "a\0"s}}), kBad},
      {"9113 8.2.1 a space in front of a value", status("200", {{"x", " a"}}), kBad},
      {"9113 8.2.2 Connection", status("200", {{"connection", "close"}}), kBad},
      {"9113 8.2.2 Transfer-Encoding", status("200", {{"transfer-encoding", "chunked"}}), kBad},
      {"9113 8.2.2 Keep-Alive", status("200", {{"keep-alive", "5"}}), kBad},
      {"9113 8.2.2 Upgrade", status("200", {{"upgrade", "h2c"}}), kBad},
      {"9113 8.2.2 Proxy-Connection", status("200", {{"proxy-connection", "close"}}), kBad},
      {"9110 8.6 two Content-Lengths", status("200", {{"content-length", "0"}, {"content-length", "0"}}), kBad},
      {"9110 8.6 a malformed Content-Length", status("200", {{"content-length", "1x"}}), kBad},
      {"9110 8.6 Content-Length: 0", status("200", {{"content-length", "0"}}), kGood},
      {"9110 8.6 Content-Length in 204", status("204", {{"content-length", "3"}}), kBad},
      {"9110 8.6 Content-Length of a body that is not there", status("200", {{"content-length", "3"}}), kBad},
      {"9110 8.6 Content-Length in 304, which has no body", status("304", {{"content-length", "3"}}), kGood},
      {"an ordinary field", status("200", {{"content-type", "text/plain"}}), kGood},
      {"Host in a response", status("200", {{"host", "a.example"}}), kBad},
      {"several Set-Cookies", status("200", {{"set-cookie", "a=b"}, {"set-cookie", "c=d"}}), kGood},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.name);
    // The parser does not know that no body came.
    if (!one.name.ends_with("is not there")) {
      const auto parsed = parse_h2_response(one.fields);
      EXPECT_EQ(parsed.has_value(), one.good) << (parsed ? "" : parsed.error().message());
    }
    auto client = started_client();
    const auto outcome = feed(*client, head(1, one.fields, true));
    EXPECT_EQ(outcome.error, "");
    EXPECT_EQ(outcome.only<H2Response>().size(), one.good ? 1u : 0u);
    EXPECT_EQ(outcome.only<H2End>().size(), one.good ? 1u : 0u);
    EXPECT_EQ(outcome.only<H2Reset>().size(), one.good ? 0u : 1u);
  }
}

TEST(Http2Head, JudgesInterimResponses) {
  struct Interim {
    const char* name;
    std::string frames;
    std::vector<int> statuses;
    bool reset;
  };
  const auto ok = head(1, status("200"), true);
  const Interim cases[] = {
      {"9110 15.2 100, then 200", head(1, status("100"), false) + ok, {100, 200}, false},
      {"8297 103 twice, then 200",
       head(1, status("103", {{"link", "</x>"}}), false) + head(1, status("103"), false) + ok,
       {103, 103, 200},
       false},
      {"9113 8.1 an interim response that ends the stream", head(1, status("100"), true), {}, true},
      {"9110 8.6 Content-Length in 100", head(1, status("100", {{"content-length", "0"}}), false), {}, true},
      {"9113 8.1 DATA behind an interim response",
       head(1, status("100"), false) + frame(kData, 0, 1, "x"),
       {100},
       true},
      {"9113 8.1 two final responses", head(1, status("200"), false) + head(1, status("200"), true), {200}, true},
      {"9113 8.1 an interim response behind a final one",
       head(1, status("200"), false) + head(1, status("103"), false),
       {200},
       true},
  };
  for (const Interim& one : cases) {
    SCOPED_TRACE(one.name);
    auto client = started_client();
    const auto outcome = feed(*client, one.frames);
    EXPECT_EQ(outcome.error, "");
    std::vector<int> statuses;
    for (const auto& response : outcome.only<H2Response>()) statuses.push_back(response.head.status);
    EXPECT_EQ(statuses, one.statuses);
    EXPECT_EQ(outcome.only<H2Reset>().size(), one.reset ? 1u : 0u);
  }
}

TEST(Http2Head, JudgesTrailers) {
  const Case cases[] = {
      {"9113 8.1 a trailer", {{"grpc-status", "0"}}, kGood},
      {"9113 8.1 two trailer fields", {{"a", "b"}, {"c", "d"}}, kGood},
      {"9113 8.1 :status in a trailer", {{":status", "200"}}, kBad},
      {"9113 8.1 :path in a trailer", {{":path", "/"}}, kBad},
      {"9113 8.2.1 upper case", {{"Grpc-Status", "0"}}, kBad},
      {"9113 8.2.1 LF in a value", {{"x", "a\nb"}}, kBad},
      {"9113 8.2.2 Connection", {{"connection", "close"}}, kBad},
      {"9110 6.5.1 Content-Length", {{"content-length", "4"}}, kBad},
      {"9110 6.5.1 Transfer-Encoding", {{"transfer-encoding", "chunked"}}, kBad},
      {"9110 6.5.1 Host", {{"host", "a.example"}}, kBad},
      {"9110 6.5.1 Content-Type", {{"content-type", "text/html"}}, kBad},
      {"9110 6.5.1 Content-Encoding", {{"content-encoding", "gzip"}}, kBad},
      {"9110 6.5.1 Authorization", {{"authorization", "x"}}, kBad},
      {"9110 6.5.1 Set-Cookie", {{"set-cookie", "a=b"}}, kBad},
      {"9110 6.5.1 Cookie", {{"cookie", "a=b"}}, kBad},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.name);
    EXPECT_EQ(check_h2_trailers(one.fields).has_value(), one.good);
    auto server = started_server();
    const auto outcome = feed(*server, post(1) + frame(kData, 0, 1, "body") + head(1, one.fields, true));
    EXPECT_EQ(outcome.error, "");
    EXPECT_EQ(outcome.only<H2Trailers>().size(), one.good ? 1u : 0u);
    EXPECT_EQ(outcome.only<H2End>().size(), one.good ? 1u : 0u);
    EXPECT_EQ(outcome.only<H2Reset>().size(), one.good ? 0u : 1u);
    auto again = started_server();
    const auto open = feed(*again, post(1) + frame(kData, 0, 1, "body") + head(1, one.fields, false));
    EXPECT_EQ(open.only<H2Trailers>().size(), 0u) << "9113 8.1 a trailer must end its message";
    EXPECT_EQ(open.only<H2Reset>().size(), 1u);
  }
}

TEST(Http2Head, HoldsABodyToItsContentLength) {
  struct Body {
    const char* name;
    std::string length;
    std::vector<std::string> pieces;
    bool good;
  };
  const Body cases[] = {
      {"as long as it says", "4", {"body"}, true},
      {"in pieces", "4", {"b", "", "ody"}, true},
      {"shorter", "5", {"body"}, false},
      {"longer", "3", {"body"}, false},
      {"longer by its second piece", "4", {"body", "x"}, false},
      {"something where it says nothing", "0", {"x"}, false},
      {"nothing where it says something", "1", {""}, false},
      {"nothing", "0", {""}, true},
  };
  for (const Body& one : cases) {
    SCOPED_TRACE(one.name);
    std::string bytes;
    for (size_t i = 0; i < one.pieces.size(); ++i)
      bytes += frame(kData, i + 1 == one.pieces.size() ? kEndStream : 0, 1, one.pieces[i]);
    auto server = started_server();
    const auto up = feed(*server, post(1, {{"content-length", one.length}}) + bytes);
    EXPECT_EQ(up.only<H2End>().size(), one.good ? 1u : 0u);
    EXPECT_EQ(up.only<H2Reset>().size(), one.good ? 0u : 1u);
    auto client = started_client();
    const auto down = feed(*client, head(1, status("200", {{"content-length", one.length}}), false) + bytes);
    EXPECT_EQ(down.only<H2End>().size(), one.good ? 1u : 0u);
    EXPECT_EQ(down.only<H2Reset>().size(), one.good ? 0u : 1u);
  }
  auto client = started_client(https(), "HEAD");
  const auto none = feed(*client, head(1, status("200", {{"content-length", "5"}}), true));
  EXPECT_EQ(none.only<H2End>().size(), 1u) << "9110 9.3.2 the answer to HEAD names a length and has no body";
  auto other = started_client(https(), "HEAD");
  const auto some =
      feed(*other, head(1, status("200", {{"content-length", "5"}}), false) + frame(kData, 1, 1, "12345"));
  EXPECT_EQ(some.only<H2End>().size(), 0u);
}

TEST(Http2Head, WritesNothingMalformed) {
  const H2HeadRules rules{.scheme = "https"};
  const H2RequestHead good{.method = "GET", .scheme = "https", .authority = "a.example", .path = "/", .fields = {}};
  EXPECT_TRUE(write_h2_request(good, rules));
  for (const HttpField& field :
       std::vector<HttpField>{{"X", "y"}, {"x", "a\r\nb"}, {"connection", "x"}, {":path", "/"}}) {
    H2RequestHead request = good;
    request.fields = {field};
    EXPECT_FALSE(write_h2_request(request, rules)) << field.name;
    EXPECT_FALSE(write_h2_response({.status = 200, .fields = {field}, .content_length = {}})) << field.name;
  }
  EXPECT_FALSE(write_h2_response({.status = 101, .fields = {}, .content_length = {}}));
}

}  // namespace
}  // namespace stockade::net
