#include "net/http2_convert.h"

#include <gtest/gtest.h>

namespace stockade::net {
namespace {

RequestHead one(std::string_view text, RequestPlace place = RequestPlace::origin) {
  return parse_request_head(text, place).value();
}
H2RequestHead two(std::vector<HttpField> fields, std::string_view method = "GET", std::string_view path = "/x?y=z") {
  return {.method = std::string(method),
          .scheme = "https",
          .authority = "a.example",
          .path = std::string(path),
          .protocol = {},
          .fields = std::move(fields),
          .content_length = {}};
}
std::string written(const H2RequestHead& head, bool ends = true) {
  const auto out = to_h1(head, ends);
  return out ? write_request_head(*out) : "refused: " + out.error().message();
}

TEST(Http2Convert, MakesAnHttp2RequestOfAnHttp1One) {
  const auto head =
      to_h2(one("POST /x?y=z HTTP/1.1\r\nHost: A.example:443\r\nX-Api-Key: k\r\nTransfer-Encoding: chunked\r\n"
                "TE: trailers, gzip\r\nKeep-Alive: 5\r\nConnection: keep-alive, TE\r\nProxy-Authorization: p\r\n"
                "Expect: 100-continue\r\nCookie: a=b\r\n\r\n"),
            "https");
  ASSERT_TRUE(head) << head.error().message();
  EXPECT_EQ(head->method, "POST");
  EXPECT_EQ(head->authority, "a.example");
  EXPECT_EQ(head->path, "/x?y=z");
  EXPECT_TRUE(head->expects_continue);
  std::vector<std::string> names;
  for (const auto& field : head->fields) names.push_back(field.name + "=" + field.value);
  EXPECT_EQ(names, (std::vector<std::string>{"x-api-key=k", "expect=100-continue", "cookie=a=b", "te=trailers"}));
  EXPECT_FALSE(head->content_length);
  EXPECT_EQ(to_h2(one("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n"), "http")->content_length, 7u);
  EXPECT_EQ(to_h2(one("GET / HTTP/1.1\r\nHost: [2001:db8::1]:8443\r\n\r\n"), "https")->authority, "[2001:db8::1]:8443");
  EXPECT_EQ(
      to_h2(one("GET http://b.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n", RequestPlace::proxy), "http")->authority,
      "b.example");
  EXPECT_EQ(to_h2(one("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), "https")->path, "*");
  const auto tunnel =
      to_h2(one("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n", RequestPlace::proxy), "https");
  ASSERT_TRUE(tunnel) << tunnel.error().message();
  EXPECT_EQ(tunnel->authority, "a.example:443");
  EXPECT_EQ(tunnel->path, "");
  EXPECT_FALSE(to_h2(one("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), "https"));
}

TEST(Http2Convert, MakesAnHttp1RequestOfAnHttp2One) {
  EXPECT_EQ(written(two({{"accept", "*/*"}})), "GET /x?y=z HTTP/1.1\r\nhost: a.example\r\naccept: */*\r\n\r\n");
  EXPECT_EQ(written(two({{"cookie", "a=b"}, {"x", "y"}, {"cookie", "c=d"}})),
            "GET /x?y=z HTTP/1.1\r\nhost: a.example\r\nx: y\r\ncookie: a=b; c=d\r\n\r\n");
  EXPECT_EQ(written(two({{"te", "trailers"}})),
            "GET /x?y=z HTTP/1.1\r\nhost: a.example\r\nte: trailers\r\nconnection: te\r\n\r\n");
  EXPECT_EQ(written(two({{"host", "a.example"}})), "GET /x?y=z HTTP/1.1\r\nhost: a.example\r\n\r\n");
  EXPECT_EQ(written(two({}, "POST"), false),
            "POST /x?y=z HTTP/1.1\r\nhost: a.example\r\ntransfer-encoding: chunked\r\n\r\n");
  EXPECT_EQ(written(two({}, "POST"), true), "POST /x?y=z HTTP/1.1\r\nhost: a.example\r\ncontent-length: 0\r\n\r\n");
  H2RequestHead counted = two({{"content-length", "3"}}, "POST");
  counted.content_length = 3;
  EXPECT_EQ(written(counted, false), "POST /x?y=z HTTP/1.1\r\nhost: a.example\r\ncontent-length: 3\r\n\r\n");
  EXPECT_EQ(to_h1(counted, false)->body, (BodyFraming{BodyKind::length, 3}));
  EXPECT_FALSE(to_h1(counted, true)) << "a length, and no body";
  EXPECT_EQ(written(two({}, "OPTIONS", "*")), "OPTIONS * HTTP/1.1\r\nhost: a.example\r\n\r\n");
}

// What a gateway that writes HTTP/2's fields into HTTP/1 unseen would smuggle.
TEST(Http2Convert, SmugglesNothing) {
  struct Case {
    const char* name;
    H2RequestHead head;
  };
  const auto authority = [](std::string text) {
    auto head = two({});
    head.authority = std::move(text);
    return head;
  };
  const auto scheme = [](std::string text) {
    auto head = two({});
    head.scheme = std::move(text);
    return head;
  };
  const auto protocol = [] {
    auto head = two({}, "CONNECT");
    head.protocol = "websocket";
    return head;
  };
  const Case cases[] = {
      {"CRLF in a value", two({{"x", "y\r\nTransfer-Encoding: chunked"}})},
      {"LF in a value", two({{"x", "y\nTransfer-Encoding: chunked"}})},
      {"CR in a value", two({{"x", "y\rz"}})},
      {"NUL in a value", two({{"x", std::string("y\0z", 3)}})},
      {"CRLF in a name", two({{"x\r\ny", "z"}})},
      {"a colon in a name", two({{"x: y", "z"}})},
      {"a space in a name", two({{"content-length ", "5"}})},
      {"Transfer-Encoding", two({{"transfer-encoding", "chunked"}}, "POST")},
      {"Transfer-Encoding beside Content-Length",
       two({{"content-length", "5"}, {"transfer-encoding", "chunked"}}, "POST")},
      {"transfer_encoding", two({{"transfer_encoding", "chunked"}}, "POST")},
      {"two Content-Lengths", two({{"content-length", "5"}, {"content-length", "6"}}, "POST")},
      {"Content-Length as a list", two({{"content-length", "5, 5"}}, "POST")},
      {"Connection that drops a field", two({{"connection", "authorization"}})},
      {"Upgrade", two({{"upgrade", "websocket"}})},
      {"a second Host", two({{"host", "a.example"}, {"host", "b.example"}})},
      {"another Host", two({{"host", "b.example"}})},
      {"a request line in the method", two({}, "GET / HTTP/1.1\r\nHost: b\r\n\r\nGET")},
      {"a space in the method", two({}, "GET /admin HTTP/1.1")},
      {"a request line in the path", two({}, "GET", "/ HTTP/1.1\r\nHost: b.example\r\n\r\nGET /admin")},
      {"a version in the path", two({}, "GET", "/ HTTP/1.0")},
      {"an absolute path", two({}, "GET", "http://b.example/")},
      {"a path without a slash", two({}, "GET", "@b.example/")},
      {"an empty path", two({}, "GET", "")},
      {"a tab in the path", two({}, "GET", "/\tx")},
      {"a user in the authority", authority("user@b.example")},
      {"a path in the authority", authority("b.example/x")},
      {"CRLF in the authority", authority("a.example\r\nx: y")},
      {"a space in the authority", authority("a.example x")},
      {"no authority", authority("")},
      {"another scheme", scheme("gopher")},
      {"a URL in the scheme", scheme("https://b.example/?")},
      {"an extended CONNECT", protocol()},
      {"a pseudo-field among the fields", two({{":path", "/admin"}})},
  };
  for (const Case& one : cases) {
    EXPECT_FALSE(to_h1(one.head, true)) << one.name;
    EXPECT_FALSE(to_h1(one.head, false)) << one.name;
  }
}

TEST(Http2Convert, MakesResponsesOfEachOther) {
  const auto head = [](std::string_view text, std::string_view method = "GET") {
    return to_h2(parse_response_head(text, method).value());
  };
  const auto ok =
      head("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
  ASSERT_TRUE(ok) << ok.error().message();
  EXPECT_EQ(ok->fields.size(), 1u);
  EXPECT_EQ(ok->fields[0].name, "content-type");
  EXPECT_EQ(head("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")->content_length, 5u);
  EXPECT_EQ(head("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD")->content_length, 5u);
  EXPECT_FALSE(head("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")->content_length);
  EXPECT_EQ(head("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")->status, 103);
  EXPECT_FALSE(head("HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"));

  const auto back = [](H2ResponseHead head, bool ends, int minor = 1, std::string_view method = "GET") {
    const auto out = to_h1(head, method, ends, minor);
    return out ? write_response_head(*out) : "refused: " + out.error().message();
  };
  const H2ResponseHead plain{.status = 200, .fields = {{"x", "y"}}, .content_length = {}};
  EXPECT_EQ(back(plain, false), "HTTP/1.1 200 OK\r\nx: y\r\ntransfer-encoding: chunked\r\n\r\n");
  EXPECT_EQ(back(plain, true), "HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 0\r\n\r\n");
  EXPECT_EQ(back(plain, false, 0), "HTTP/1.0 200 OK\r\nx: y\r\nconnection: close\r\n\r\n");
  EXPECT_EQ(back(plain, true, 1, "HEAD"), "HTTP/1.1 200 OK\r\nx: y\r\n\r\n");
  EXPECT_EQ(back({.status = 304, .fields = {}, .content_length = {}}, true), "HTTP/1.1 304 Not Modified\r\n\r\n");
  EXPECT_EQ(back({.status = 299, .fields = {}, .content_length = {}}, true),
            "HTTP/1.1 299 Status\r\ncontent-length: 0\r\n\r\n");
  EXPECT_EQ(back({.status = 103, .fields = {}, .content_length = {}}, false), "HTTP/1.1 103 Early Hints\r\n\r\n");
  EXPECT_TRUE(back({.status = 103, .fields = {}, .content_length = {}}, false, 0).starts_with("refused"));
  EXPECT_TRUE(back({.status = 200, .fields = {{"set-cookie", "a=b\r\nx: y"}}, .content_length = {}}, true)
                  .starts_with("refused"));
  EXPECT_EQ(back({.status = 200, .fields = {{"set-cookie", "a=b"}, {"set-cookie", "c=d"}}, .content_length = {}}, true),
            "HTTP/1.1 200 OK\r\nset-cookie: a=b\r\nset-cookie: c=d\r\ncontent-length: 0\r\n\r\n");
}

TEST(Http2Convert, DropsWhatNoTrailerMayHave) {
  const auto kept = trailers_to_h2(
      {{"Grpc-Status", "0"}, {"Content-Length", "5"}, {"Connection", "y"}, {"Set-Cookie", "a"}, {"X", "y"}});
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_EQ(kept[0].name, "grpc-status");
  EXPECT_EQ(kept[1].name, "x");
}

TEST(Http2Convert, GivesBackWhatItWasGiven) {
  for (const char* text : {"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n",
                           "DELETE /x/y?z HTTP/1.1\r\nhost: [::1]:8443\r\na: b\r\na: c\r\n\r\n",
                           "POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 5\r\n\r\n"}) {
    const auto head = one(text);
    const auto there = to_h2(head, "https");
    ASSERT_TRUE(there) << there.error().message();
    const auto back = to_h1(*there, head.body.kind == BodyKind::none);
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_EQ(write_request_head(*back), text);
  }
}

}  // namespace
}  // namespace stockade::net
