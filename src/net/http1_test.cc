#include "net/http1.h"

#include <gtest/gtest.h>

#include "net/http1_body.h"

namespace stockade::net {
namespace {

using namespace std::string_literals;

Result<RequestHead> request(std::string_view text, RequestPlace place = RequestPlace::origin) {
  HeadReader reader;
  const auto taken = reader.feed(text);
  if (!taken) return std::unexpected(taken.error());
  if (!reader.complete()) return fail(ErrorKind::protocol, "incomplete");
  return parse_request_head(reader.take(), place);
}

Result<ResponseHead> response(std::string_view text, std::string_view method = "GET") {
  HeadReader reader;
  const auto taken = reader.feed(text);
  if (!taken) return std::unexpected(taken.error());
  if (!reader.complete()) return fail(ErrorKind::protocol, "incomplete");
  return parse_response_head(reader.take(), method);
}

// A request with these header lines (each with its CRLF) besides Host.
std::string post(std::string_view lines) {
  return "POST /x HTTP/1.1\r\nHost: a.example\r\n" + std::string(lines) + "\r\n";
}

TEST(HttpRequestParser, ReadsAnOrdinaryRequest) {
  const auto head = request(
      "POST /v1/x?a=b HTTP/1.1\r\nHost: API.example.com:8080\r\nContent-Length: 12\r\nX-A:\t b \r\nExpect: "
      "100-continue\r\n\r\n");
  ASSERT_TRUE(head) << head.error().message();
  EXPECT_EQ(head->method, "POST");
  EXPECT_EQ(head->path, "/v1/x");
  EXPECT_EQ(head->query, "a=b");
  EXPECT_EQ(head->host, "api.example.com");
  EXPECT_EQ(head->port, 8080);
  EXPECT_EQ(head->form, TargetForm::origin);
  EXPECT_EQ(head->body, (BodyFraming{BodyKind::length, 12}));
  EXPECT_TRUE(head->keep_alive);
  EXPECT_TRUE(head->expects_continue);
  EXPECT_EQ(find_field(head->fields, "x-a")->value, "b");
  EXPECT_EQ(write_request_head(*head),
            "POST /v1/x?a=b HTTP/1.1\r\nHost: API.example.com:8080\r\nContent-Length: 12\r\nX-A: b\r\nExpect: "
            "100-continue\r\n\r\n");
}

TEST(HttpRequestParser, ReadsAnEveryDaySelection) {
  const char* cases[] = {
      "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
      "HEAD /x HTTP/1.1\r\nhost: a.b\r\naccept: */*\r\n\r\n",
      "DELETE /x HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
      "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET http://a:80/x HTTP/1.1\r\nHost: a\r\n\r\n",
      "PROPFIND /x HTTP/1.1\r\nHost: a\r\nDepth: 1\r\n\r\n",
      "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\nConnection: TE\r\n\r\n",
      "GET /x HTTP/1.1\r\nHost: a\r\nCookie: a=\xc3\xa9; b=\"c\"\r\n\r\n",
      "GET /x?q=a/../b\\c HTTP/1.1\r\nHost: a\r\nX-Empty:\r\n\r\n",
      "GET /x HTTP/1.1\r\nHost:a\r\nConnection: keep-alive, close\r\n\r\n",
  };
  for (const char* text : cases) {
    const auto head = request(text);
    EXPECT_TRUE(head) << text << head.error().message();
  }
}

TEST(HttpRequestParser, KnowsWhenAConnectionStaysOpen) {
  EXPECT_TRUE(request("GET / HTTP/1.1\r\nHost: a\r\n\r\n")->keep_alive);
  EXPECT_FALSE(request("GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n")->keep_alive);
  EXPECT_FALSE(request("GET / HTTP/1.0\r\nHost: a\r\n\r\n")->keep_alive);
  EXPECT_TRUE(request("GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n")->keep_alive);
}

TEST(HttpRequestParser, FlagsAnUpgrade) {
  const auto head =
      request("GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n");
  ASSERT_TRUE(head) << head.error().message();
  EXPECT_EQ(head->upgrade, "websocket");
  const auto h2c = request(
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: "
      "AAM\r\n\r\n");
  ASSERT_TRUE(h2c) << h2c.error().message();
  EXPECT_EQ(h2c->upgrade, "h2c");
}

TEST(HttpRequestParser, ReadsWhatAProxyGets) {
  const auto connect =
      request("CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com\r\nProxy-Connection: keep-alive\r\n\r\n",
              RequestPlace::proxy);
  ASSERT_TRUE(connect) << connect.error().message();
  EXPECT_EQ(connect->form, TargetForm::authority);
  EXPECT_EQ(connect->host, "api.example.com");
  EXPECT_EQ(connect->port, 443);
  EXPECT_TRUE(request("CONNECT [::1]:443 HTTP/1.0\r\n\r\n", RequestPlace::proxy));

  const auto get =
      request("GET HTTP://User.Example:8080?q HTTP/1.0\r\nProxy-Authorization: x\r\n\r\n", RequestPlace::proxy);
  ASSERT_TRUE(get) << get.error().message();
  EXPECT_EQ(get->host, "user.example");
  EXPECT_EQ(get->path, "/");
  EXPECT_EQ(write_request_head(*get), "GET /?q HTTP/1.0\r\nHost: user.example:8080\r\n\r\n");
  EXPECT_FALSE(request("GET /x HTTP/1.1\r\nHost: a\r\n\r\n", RequestPlace::proxy));
  EXPECT_FALSE(request("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", RequestPlace::proxy));
}

struct Smuggling {
  const char* name;
  std::string text;
  RequestPlace place = RequestPlace::origin;
};

std::vector<Smuggling> smuggling() {
  const auto get = [](std::string_view target) {
    return "GET " + std::string(target) + " HTTP/1.1\r\nHost: a.example\r\n\r\n";
  };
  const auto host = [](std::string_view line) { return "GET / HTTP/1.1\r\n" + std::string(line) + "\r\n\r\n"; };
  const auto version = [](std::string_view v) { return "GET / " + std::string(v) + "\r\nHost: a\r\n\r\n"; };
  std::string many = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 128; ++i) many += "X: y\r\n";
  return {
      // The body's length.
      {"Content-Length and Transfer-Encoding", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")},
      {"Transfer-Encoding and Content-Length", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")},
      {"Content-Length 0 and chunked", post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n")},
      {"two different lengths", post("Content-Length: 5\r\nContent-Length: 6\r\n")},
      {"two equal lengths", post("Content-Length: 5\r\nContent-Length: 5\r\n")},
      {"a list of lengths", post("Content-Length: 5, 5\r\n")},
      {"a length with a sign", post("Content-Length: +5\r\n")},
      {"a negative length", post("Content-Length: -5\r\n")},
      {"a hexadecimal length", post("Content-Length: 0x5\r\n")},
      {"an octal-looking length", post("Content-Length: 010\r\n")},
      {"a length with a unit", post("Content-Length: 5b\r\n")},
      {"a length with a space inside", post("Content-Length: 5 5\r\n")},
      {"a length with a space behind", post("Content-Length: 5 \r\n")},
      {"a length with two spaces before", post("Content-Length:  5\r\n")},
      {"a length with a tab before", post("Content-Length:\t5\r\n")},
      {"a length with a vertical tab", post("Content-Length: \v5\r\n")},
      {"a length with a form feed", post("Content-Length: 5\f\r\n")},
      {"a length with a fraction", post("Content-Length: 5.0\r\n")},
      {"a length with an underscore", post("Content-Length: 1_0\r\n")},
      {"an empty length", post("Content-Length:\r\n")},
      {"a length of 2^63", post("Content-Length: 9223372036854775808\r\n")},
      {"a length of 2^64 + 5", post("Content-Length: 18446744073709551621\r\n")},
      {"a length in full-width digits", post("Content-Length: \xef\xbc\x95\r\n")},
      {"an unknown coding", post("Transfer-Encoding: gzip\r\n")},
      {"gzip before chunked", post("Transfer-Encoding: gzip, chunked\r\n")},
      {"chunked before identity", post("Transfer-Encoding: chunked, identity\r\n")},
      {"chunked twice in a list", post("Transfer-Encoding: chunked, chunked\r\n")},
      {"chunked in two fields", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")},
      {"chunked and identity in two fields", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n")},
      {"identity", post("Transfer-Encoding: identity\r\n")},
      {"xchunked", post("Transfer-Encoding: xchunked\r\n")},
      {"chunked in other case", post("Transfer-Encoding: Chunked\r\n")},
      {"quoted chunked", post("Transfer-Encoding: \"chunked\"\r\n")},
      {"chunked with a parameter", post("Transfer-Encoding: chunked;q=1\r\n")},
      {"chunked behind a comma", post("Transfer-Encoding: ,chunked\r\n")},
      {"chunked with a space behind", post("Transfer-Encoding: chunked \r\n")},
      {"chunked with a tab before", post("Transfer-Encoding:\tchunked\r\n")},
      {"chunked with a vertical tab before", post("Transfer-Encoding:\vchunked\r\n")},
      {"chunked with a control before", post("Transfer-Encoding: \x01"
                                             "chunked\r\n")},
      {"chunked with a NUL behind", post("Transfer-Encoding: chunked\0\r\n"s)},
      {"chunked with a high byte", post("Transfer-Encoding: chunked\xff\r\n")},
      {"an empty coding", post("Transfer-Encoding:\r\n")},
      {"chunked in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {"a body for TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"},
      {"a body for CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", RequestPlace::proxy},
      // Names of fields.
      {"a space before the colon", post("Content-Length : 5\r\n")},
      {"a tab before the colon", post("Transfer-Encoding\t: chunked\r\n")},
      {"a space before the name", post(" Content-Length: 5\r\n")},
      {"obs-fold", post("X: y\r\n Transfer-Encoding: chunked\r\n")},
      {"obs-fold of a coding", post("Transfer-Encoding:\r\n chunked\r\n")},
      {"a folded first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"},
      {"no colon", post("Transfer-Encoding chunked\r\n")},
      {"an empty name", post(": chunked\r\n")},
      {"a NUL in a name", post("Transfer\0Encoding: chunked\r\n"s)},
      {"an underscore for the hyphen", post("Content_Length: 5\r\n")},
      {"an underscore in Transfer_Encoding", post("Transfer_Encoding: chunked\r\n")},
      {"a dot for the hyphen", post("Transfer.Encoding: chunked\r\n")},
      {"a high byte in a name", post("Transfer-Encoding\xa0: chunked\r\n")},
      {"a quote in a name", post("\"Transfer-Encoding\": chunked\r\n")},
      {"a bracket in a name", post("X[0]: 1\r\n")},
      // Ends of lines.
      {"bare LF in the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n"},
      {"bare LF in a field", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"},
      {"bare LF as the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\n"},
      {"bare CR in a value", post("X: a\rContent-Length: 5\r\n")},
      {"bare CR in a name", post("X\rY: a\r\n")},
      {"CR CR LF", post("X: a\r\r\n")},
      {"bare CR as the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\rX"},
      {"an empty line before the request", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"a control character in a value", post("X: \x08\r\n")},
      {"DEL in a value", post("X: \x7f\r\n")},
      {"an escape in a value", post("X: \x1b[2J\r\n")},
      // The host.
      {"no Host", "GET / HTTP/1.1\r\n\r\n"},
      {"no Host in 1.0", "GET / HTTP/1.0\r\n\r\n"},
      {"two Hosts", host("Host: a\r\nHost: b")},
      {"two equal Hosts", host("Host: a\r\nhost: a")},
      {"an empty Host", host("Host:")},
      {"two names in Host", host("Host: a, b")},
      {"two names with a space in Host", host("Host: a b")},
      {"a user in Host", host("Host: a@b")},
      {"a path in Host", host("Host: a/b")},
      {"a query in Host", host("Host: a?b")},
      {"a percent sign in Host", host("Host: a%2eb")},
      {"a high byte in Host", host("Host: \xc3\xa9.example")},
      {"an empty port", host("Host: a:")},
      {"two ports", host("Host: a:80:81")},
      {"a port of letters", host("Host: a:http")},
      {"port 0", host("Host: a:0")},
      {"a port with a zero", host("Host: a:080")},
      {"port 65536", host("Host: a:65536")},
      {"a bracket without its end", host("Host: [::1")},
      {"a name in brackets", host("Host: [a]")},
      {"a v4 address in brackets", host("Host: [1.2.3.4]")},
      {"something behind the bracket", host("Host: [::1]x")},
      {"a zone in brackets", host("Host: [fe80::1%eth0]")},
      {"a space behind Host", host("Host: a ")},
      {"an absolute URL for another host", get("http://b.example/")},
      {"an absolute URL with another port", get("http://a.example:81/")},
      {"an absolute URL with a user", get("http://u@a.example/")},
      {"an absolute https URL", get("https://a.example/")},
      {"an absolute ftp URL", get("ftp://a.example/")},
      {"an absolute URL without a host", get("http:///x")},
      {"an absolute URL in OPTIONS without a path", "OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n"},
      // The request line.
      {"a fragment", get("/x#y")},
      {"a control character in the target", get("/\x01")},
      {"a high byte in the target", get("/\xc3\xa9")},
      {"a space in the target", get("/a b")},
      {"a tab in the request line", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"two spaces before the target", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"two spaces before the version", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"a space behind the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"},
      {"no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"no version", "GET /\r\nHost: a\r\n\r\n"},
      {"a target without a slash", get("x")},
      {"an asterisk for GET", get("*")},
      {"a method in lower case", "get / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"a method with a bracket", "GE[T / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"an unknown method", "FROBNICATE / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
      {"HTTP/0.9", version("HTTP/0.9")},
      {"HTTP/1.2", version("HTTP/1.2")},
      {"HTTP/2.0", version("HTTP/2.0")},
      {"HTTP/1.10", version("HTTP/1.10")},
      {"HTTP/01.1", version("HTTP/01.1")},
      {"http/1.1 in lower case", version("http/1.1")},
      {"RTSP", version("RTSP/1.0")},
      {"CONNECT to a server", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"},
      {"CONNECT without a port", "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", RequestPlace::proxy},
      {"CONNECT with a path", "CONNECT a:443/x HTTP/1.1\r\nHost: a:443\r\n\r\n", RequestPlace::proxy},
      {"CONNECT with a URL", "CONNECT http://a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", RequestPlace::proxy},
      {"CONNECT for another Host", "CONNECT a:443 HTTP/1.1\r\nHost: b:443\r\n\r\n", RequestPlace::proxy},
      {"CONNECT for another Host's port", "CONNECT a:443 HTTP/1.1\r\nHost: a:80\r\n\r\n", RequestPlace::proxy},
      // Sizes, and fields that change how the message is read.
      {"129 fields", many + "\r\n"},
      {"a head over 64 KiB", "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(kHeadLimit, 'x') + "\r\n\r\n"},
      {"Connection that drops Host", post("Connection: Host\r\n")},
      {"Connection that drops Content-Length", post("Content-Length: 5\r\nConnection: content-length\r\n")},
      {"Connection that drops Authorization", post("Authorization: x\r\nConnection: close, Authorization\r\n")},
      {"Upgrade without Connection", post("Upgrade: websocket\r\n")},
      {"Connection without Upgrade", post("Connection: upgrade\r\n")},
      {"two Upgrades", post("Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n")},
      {"an upgrade with a body", post("Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n")},
      {"an unknown Expect", post("Expect: 200-maybe\r\n")},
      {"two Expects", post("Expect: 100-continue\r\nExpect: 100-continue\r\n")},
  };
}

TEST(HttpRequestParser, RefusesRequestSmuggling) {
  const auto cases = smuggling();
  EXPECT_GE(cases.size(), 120u);
  for (const auto& [name, text, place] : cases) {
    const auto head = request(text, place);
    ASSERT_FALSE(head) << name;
    EXPECT_EQ(head.error().kind(), ErrorKind::protocol) << name;
    EXPECT_NE(head.error().message(), "incomplete") << name;
  }
}

TEST(HttpRequestParser, JudgesAHeadTheSameHoweverItIsCut) {
  auto cases = smuggling();
  cases.push_back({"sound", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"});
  for (const auto& [name, text, place] : cases) {
    if (text.size() > 4096) continue;
    HeadReader reader;
    bool refused = false;
    size_t taken = 0;
    for (char c : text) {
      const auto count = reader.feed({&c, 1});
      refused |= !count;
      if (!count || *count == 0) break;
      ++taken;
    }
    HeadReader whole;
    const auto at_once = whole.feed(text);
    EXPECT_EQ(refused, !at_once) << name;
    if (at_once) {
      EXPECT_EQ(taken, *at_once) << name;
      EXPECT_EQ(reader.take(), whole.take()) << name;
    }
  }
}

TEST(HeadReader, LeavesTheNextMessageAlone) {
  HeadReader reader;
  const std::string one = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  EXPECT_EQ(reader.feed(one + "GET /next"), one.size());
  EXPECT_TRUE(reader.complete());
  EXPECT_EQ(reader.take(), one);
  EXPECT_FALSE(reader.started());
}

// ---- responses ----------------------------------------------------------------------------------------------------

TEST(HttpResponseParser, KnowsWhereBodiesEnd) {
  struct Case {
    const char* text;
    const char* method;
    BodyFraming body;
  };
  const Case cases[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", "GET", {BodyKind::length, 7}},
      {"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", "HEAD", {}},
      {"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", {BodyKind::chunked}},
      {"HTTP/1.1 200 \r\n\r\n", "GET", {BodyKind::until_close}},
      {"HTTP/1.0 404 Not Found\r\n\r\n", "POST", {BodyKind::until_close}},
      {"HTTP/1.1 204 No Content\r\n\r\n", "GET", {}},
      {"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "GET", {}},
      {"HTTP/1.1 304 Not Modified\r\nContent-Length: 900\r\n\r\n", "GET", {}},
      {"HTTP/1.1 100 Continue\r\n\r\n", "POST", {}},
      {"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", "GET", {}},
      {"HTTP/1.1 200 Connection established\r\n\r\n", "CONNECT", {}},
      {"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n", "CONNECT", {BodyKind::length, 2}},
  };
  for (const auto& [text, method, body] : cases) {
    const auto head = response(text, method);
    ASSERT_TRUE(head) << text << head.error().message();
    EXPECT_EQ(head->body, body) << text << method;
  }
  EXPECT_TRUE(response("HTTP/1.1 100 Continue\r\n\r\n")->interim);
  EXPECT_FALSE(response("HTTP/1.1 200 OK\r\n\r\n")->keep_alive);
  EXPECT_TRUE(response("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")->keep_alive);
  EXPECT_TRUE(response("HTTP/1.1 200 OK\r\n\r\n", "CONNECT")->switching);
  const auto upgraded =
      response("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  EXPECT_TRUE(upgraded->switching);
  EXPECT_FALSE(upgraded->interim);
  EXPECT_EQ(upgraded->upgrade, "websocket");
  EXPECT_EQ(write_response_head(*upgraded),
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
}

TEST(HttpResponseParser, RefusesResponseSplittingAndItsLike) {
  const std::pair<const char*, std::string> cases[] = {
      {"Content-Length and chunked", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"},
      {"chunked in 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {"gzip, chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"},
      {"a body in 204", "HTTP/1.1 204 x\r\nContent-Length: 4\r\n\r\n"},
      {"a body in 100", "HTTP/1.1 100 x\r\nContent-Length: 4\r\n\r\n"},
      {"a chunked 100", "HTTP/1.1 100 x\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {"status 99", "HTTP/1.1 099 x\r\n\r\n"},
      {"status 600", "HTTP/1.1 600 x\r\n\r\n"},
      {"a status of two digits", "HTTP/1.1 20 x\r\n\r\n"},
      {"a status of four digits", "HTTP/1.1 2000 x\r\n\r\n"},
      {"a status of letters", "HTTP/1.1 2x0 x\r\n\r\n"},
      {"no status", "HTTP/1.1\r\n\r\n"},
      {"two spaces", "HTTP/1.1  200 OK\r\n\r\n"},
      {"HTTP/2", "HTTP/2 200 OK\r\n\r\n"},
      {"ICY", "ICY 200 OK\r\n\r\n"},
      {"a bare LF", "HTTP/1.1 200 OK\nX: y\r\n\r\n"},
      {"obs-fold", "HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n"},
      {"a space before the colon", "HTTP/1.1 200 OK\r\nX : y\r\n\r\n"},
      {"101 without Upgrade", "HTTP/1.1 101 x\r\nConnection: upgrade\r\n\r\n"},
      {"101 without Connection", "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n"},
      {"101 with a body", "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 3\r\n\r\n"},
  };
  for (const auto& [name, text] : cases) EXPECT_FALSE(response(text)) << name;
  EXPECT_FALSE(response("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "CONNECT"));
}

// ---- bodies -------------------------------------------------------------------------------------------------------

struct BodyOutcome {
  bool refused = false;
  bool done = false;
  size_t taken = 0;
  std::string content;
  bool operator==(const BodyOutcome&) const = default;
};

BodyOutcome frame(BodyFraming framing, MessageSide side, std::string_view bytes, size_t piece) {
  BodyFramer framer(framing, side);
  BodyOutcome outcome;
  while (outcome.taken < bytes.size() && !framer.done()) {
    const auto count = framer.consume(bytes.substr(outcome.taken, piece), &outcome.content);
    if (!count) return {.refused = true};
    outcome.taken += *count;
  }
  outcome.done = framer.done();
  return outcome;
}

TEST(BodyFramer, FindsTheEndHoweverTheBytesAreCut) {
  struct Case {
    BodyFraming framing;
    MessageSide side;
    std::string bytes;
    size_t taken;
    std::string content;
  };
  const Case cases[] = {
      {{}, MessageSide::request, "GET /", 0, ""},
      {{BodyKind::length, 5}, MessageSide::request, "helloGET /", 5, "hello"},
      {{BodyKind::chunked}, MessageSide::request, "5\r\nhello\r\n0\r\n\r\nGET /", 15, "hello"},
      {{BodyKind::chunked},
       MessageSide::request,
       "1\r\na\r\n0A\r\n0123456789\r\n000\r\nX-Sum: 1\r\n\r\nGET",
       39,
       "a0123456789"},
      {{BodyKind::chunked}, MessageSide::response, "3;a=b\r\nabc\r\n0;c\r\n\r\nH", 19, "abc"},
  };
  for (const auto& c : cases) {
    const auto whole = frame(c.framing, c.side, c.bytes, c.bytes.size());
    EXPECT_FALSE(whole.refused) << c.bytes;
    EXPECT_TRUE(whole.done) << c.bytes;
    EXPECT_EQ(whole.taken, c.taken) << c.bytes;
    EXPECT_EQ(whole.content, c.content);
    for (size_t piece = 1; piece < c.bytes.size(); ++piece)
      EXPECT_EQ(frame(c.framing, c.side, c.bytes, piece), whole) << piece;
  }
}

TEST(BodyFramer, EndsWithTheConnectionOnlyWhereItMay) {
  BodyFramer open({BodyKind::until_close}, MessageSide::response);
  EXPECT_EQ(open.consume("abc"), 3u);
  EXPECT_FALSE(open.done());
  EXPECT_TRUE(open.finish());
  EXPECT_TRUE(open.done());
  BodyFramer cut({BodyKind::length, 5}, MessageSide::response);
  EXPECT_EQ(cut.consume("abc"), 3u);
  EXPECT_FALSE(cut.finish());
  BodyFramer chunked({BodyKind::chunked}, MessageSide::response);
  EXPECT_FALSE(chunked.finish());
}

TEST(BodyFramer, RefusesChunksThatParsersReadDifferently) {
  const std::pair<const char*, std::string> requests[] = {
      {"a bare LF behind the size", "5\nhello\r\n0\r\n\r\n"},
      {"a bare CR behind the size", "5\rhello\r\n0\r\n\r\n"},
      {"a bare LF behind the data", "5\r\nhello\n0\r\n\r\n"},
      {"no end behind the data", "5\r\nhello0\r\n\r\n"},
      {"two bytes behind the data", "5\r\nhelloXX0\r\n\r\n"},
      {"a size with 0x", "0x5\r\nhello\r\n0\r\n\r\n"},
      {"a size with a sign", "+5\r\nhello\r\n0\r\n\r\n"},
      {"a negative size", "-5\r\nhello\r\n0\r\n\r\n"},
      {"a size with an underscore", "0_5\r\nhello\r\n0\r\n\r\n"},
      {"a space before the size", " 5\r\nhello\r\n0\r\n\r\n"},
      {"a space behind the size", "5 \r\nhello\r\n0\r\n\r\n"},
      {"a tab behind the size", "5\t\r\nhello\r\n0\r\n\r\n"},
      {"an empty size", "\r\nhello\r\n0\r\n\r\n"},
      {"letters", "zz\r\nhello\r\n0\r\n\r\n"},
      {"a size of 2^64", "10000000000000000\r\nx"},
      {"a size of 17 digits", "00000000000000005\r\nhello\r\n"},
      {"an extension in a request", "5;a=b\r\nhello\r\n0\r\n\r\n"},
      {"an extension on the last chunk", "0;a\r\n\r\n"},
      {"a NUL", "5\0\r\nhello"s},
      {"Content-Length in a trailer", "0\r\nContent-Length: 5\r\n\r\n"},
      {"Transfer-Encoding in a trailer", "0\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {"Transfer_Encoding in a trailer", "0\r\nTransfer_Encoding: chunked\r\n\r\n"},
      {"Host in a trailer", "0\r\nHost: b\r\n\r\n"},
      {"Authorization in a trailer", "0\r\nAuthorization: x\r\n\r\n"},
      {"a trailer without a colon", "0\r\nGET / HTTP/1.1\r\n\r\n"},
      {"a folded trailer", "0\r\nX: y\r\n z\r\n\r\n"},
      {"a bare LF in a trailer", "0\r\nX: y\n\r\n"},
      {"a bare LF as the end", "0\r\n\n"},
      {"a bare CR in a trailer", "0\r\nX: \ry\r\n\r\n"},
      {"a trailer that is too long", "0\r\nX: " + std::string(kTrailerLimit, 'y') + "\r\n\r\n"},
  };
  for (const auto& [name, bytes] : requests) {
    EXPECT_TRUE(frame({BodyKind::chunked}, MessageSide::request, bytes, bytes.size()).refused) << name;
    EXPECT_TRUE(frame({BodyKind::chunked}, MessageSide::request, bytes, 1).refused) << name;
  }
  std::string many;
  for (int i = 0; i < 100; ++i) many += "1;" + std::string(200, 'e') + "\r\nx\r\n";
  const std::pair<const char*, std::string> responses[] = {
      {"a space before an extension", "5 ;a\r\nhello\r\n0\r\n\r\n"},
      {"an empty extension", "5;\r\nhello\r\n0\r\n\r\n"},
      {"an extension with an empty value", "5;a=\r\nhello\r\n0\r\n\r\n"},
      {"an extension with quotes", "5;a=\"b\"\r\nhello\r\n0\r\n\r\n"},
      {"two extensions", "5;a=b;c=d\r\nhello\r\n0\r\n\r\n"},
      {"an extension that is too long", "5;" + std::string(300, 'e') + "\r\nhello\r\n0\r\n\r\n"},
      {"too many extensions", many},
  };
  for (const auto& [name, bytes] : responses)
    EXPECT_TRUE(frame({BodyKind::chunked}, MessageSide::response, bytes, bytes.size()).refused) << name;
}

}  // namespace
}  // namespace stockade::net
