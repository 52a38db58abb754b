#include "net/path.h"

#include <gtest/gtest.h>

namespace stockade::net {
namespace {

TEST(PathNormaliser, GivesOneReading) {
  const std::pair<const char*, const char*> cases[] = {
      {"/", "/"},
      {"/v1/models", "/v1/models"},
      {"/v1/models/", "/v1/models/"},
      {"/%76%31/models", "/v1/models"},
      {"/a%7eb", "/a~b"},
      {"/a%2Db%2ec", "/a-b.c"},
      {"/models/x%3AgenerateContent", "/models/x:generateContent"},
      {"/a%20b", "/a%20b"},
      {"/caf%c3%a9", "/caf%C3%A9"},
      {"/%f0%9f%98%80", "/%F0%9F%98%80"},
      {"/%E4%B8%AD", "/%E4%B8%AD"},
      {"/a%3fb", "/a%3Fb"},
      {"/a%23b", "/a%23b"},
      {"/100%25", "/100%25"},
      {"/100%25/x", "/100%25/x"},
      {"/{id}|x", "/%7Bid%7D%7Cx"},
      {"/...", "/..."},
      {"/.well-known/x", "/.well-known/x"},
      {"/@scope%2bname", "/@scope+name"},
  };
  for (const auto& [raw, expected] : cases) {
    const auto path = normalise_path(raw);
    ASSERT_TRUE(path) << raw << ": " << path.error().message();
    EXPECT_EQ(*path, expected);
    // What was normalised stays as it is.
    const auto again = normalise_path(*path);
    ASSERT_TRUE(again) << *path;
    EXPECT_EQ(*again, *path);
  }
}

struct RefusedPath {
  const char* raw;
  const char* why;
};

class PathRefusal : public testing::TestWithParam<RefusedPath> {};

TEST_P(PathRefusal, SaysWhy) {
  const auto path = normalise_path(GetParam().raw);
  ASSERT_FALSE(path) << GetParam().raw << " became " << *path;
  EXPECT_EQ(path.error().kind(), ErrorKind::protocol);
  EXPECT_NE(path.error().message().find(GetParam().why), std::string::npos) << path.error().message();
}

INSTANTIATE_TEST_SUITE_P(
    Paths, PathRefusal,
    testing::Values(
        RefusedPath{"", "no slash"}, RefusedPath{"v1", "no slash"}, RefusedPath{"/..", "dot segment"},
        RefusedPath{"/../x", "dot segment"}, RefusedPath{"/a/./b", "dot segment"},
        RefusedPath{"/a/%2e%2e/b", "dot segment"}, RefusedPath{"/a/.%2E", "dot segment"},
        RefusedPath{"//", "empty segment"}, RefusedPath{"/a//b", "empty segment"},
        RefusedPath{"/a%2fb", "encoded slash"}, RefusedPath{"/a%2Fb", "encoded slash"},
        RefusedPath{"/a%5cb", "backslash"}, RefusedPath{"/a\\b", "backslash"}, RefusedPath{"/a%00", "control"},
        RefusedPath{"/a%0d%0a", "control"}, RefusedPath{"/a%7f", "control"}, RefusedPath{"/a%252e", "encoded twice"},
        RefusedPath{"/%25%32%65", "encoded twice"}, RefusedPath{"/a%2561", "encoded twice"},
        RefusedPath{"/a;b", "\";\""}, RefusedPath{"/a/..;/b", "\";\""}, RefusedPath{"/a%3Bb", "\";\""},
        RefusedPath{"/a%", "percent sign"}, RefusedPath{"/a%4", "percent sign"}, RefusedPath{"/a%zz", "percent sign"},
        RefusedPath{"/a%u0041", "percent sign"}, RefusedPath{"/caf\xc3\xa9", "outside of ASCII"},
        RefusedPath{"/%c0%ae", "not UTF-8"}, RefusedPath{"/%ff", "not UTF-8"}, RefusedPath{"/%c3", "not UTF-8"},
        RefusedPath{"/%c3/x", "not UTF-8"}, RefusedPath{"/%e0%80%af", "not UTF-8"},
        RefusedPath{"/%ed%a0%80", "not UTF-8"}, RefusedPath{"/%f4%90%80%80", "not UTF-8"},
        RefusedPath{"/%ef%bc%8f", "dot or a slash"}, RefusedPath{"/%ef%bc%8e%ef%bc%8e", "dot or a slash"},
        RefusedPath{"/%e2%80%a6", "dot or a slash"}, RefusedPath{"/%c2%85", "dot or a slash"},
        RefusedPath{"/a?b", "ends a path"}, RefusedPath{"/a#b", "ends a path"}, RefusedPath{"/a b", "ends a path"}));

TEST(PathNormaliser, DoesNotJoinPiecesIntoASecondEncoding) {
  // "%25" beside "%32%65" would decode to "%2e" in a second round.
  EXPECT_FALSE(normalise_path("/%2532%65"));
  const auto path = normalise_path("/%25%32%65");
  EXPECT_FALSE(path);
}

TEST(Overrides, AreFoundInHeadersAndQuery) {
  RequestHead head;
  head.path = "/x";
  EXPECT_FALSE(find_override(head));
  for (const char* name : {"X-HTTP-Method-Override", "x-method-override", "X-HTTP-Method", "X-Original-URL",
                           "X-Rewrite-URL", "X_HTTP_METHOD_OVERRIDE", "X-Forwarded-Host", "Forwarded"}) {
    head.fields = {{"Accept", "*/*"}, {name, "DELETE"}};
    EXPECT_EQ(find_override(head), std::string("header ") + name);
  }
  head.fields.clear();
  for (const char* query : {"_method=DELETE", "a=1&_method=PUT", "a&%5fmethod=PUT", "_METHOD", "a=1;_method=x",
                            "$httpMethod=GET", "X-HTTP-Method-Override=PUT"}) {
    head.query = query;
    EXPECT_TRUE(find_override(head)) << query;
  }
  for (const char* query : {"", "method=x", "a=_method", "my_method=1"}) {
    head.query = query;
    EXPECT_FALSE(find_override(head)) << query;
  }
}

}  // namespace
}  // namespace stockade::net
