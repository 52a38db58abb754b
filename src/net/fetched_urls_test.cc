#include "net/fetched_urls.h"

#include <gtest/gtest.h>

namespace stockade::net {
namespace {

RequestHead head_of(std::string_view type, std::string_view target = "/x") {
  const auto head = parse_request_head(
      "POST " + std::string(target) + " HTTP/1.1\r\nHost: a.example\r\nContent-Type: " + std::string(type) + "\r\n\r\n",
      RequestPlace::origin);
  EXPECT_TRUE(head) << head.error().message();
  return *head;
}

std::string kind_name(FetchKind kind) {
  return kind == FetchKind::certain ? "certain" : kind == FetchKind::possible ? "possible" : "embedded";
}

// "certain json: a.b host", a line each.
std::vector<std::string> found(std::string_view type, std::string_view body, std::string_view target = "/x") {
  const auto urls = find_fetched_urls(head_of(type, target), body);
  if (!urls) return {"error: " + urls.error().message()};
  std::vector<std::string> out;
  for (const auto& url : *urls) {
    std::string hosts;
    for (const auto& to : url.destinations) hosts += " " + to.host;
    out.push_back(kind_name(url.kind) + " " + url.place + hosts);
  }
  return out;
}

using Lines = std::vector<std::string>;

std::string hosts(std::string_view url) {
  std::string out;
  for (const auto& to : url_destinations(url)) out += (out.empty() ? "" : " ") + to.host;
  return out;
}

TEST(UrlDestination, ReadsUrlsAsEveryReaderDoes) {
  const std::pair<const char*, const char*> cases[] = {
      {"https://Example.COM./x", "example.com"},
      {"http://user:pass@example.com:8080/", "example.com"},
      {"//example.com/x", "example.com"},
      {"http:\\\\example.com\\x", "example.com example.com\\x"},
      {"http:example.com", "example.com"},
      {"http:////example.com", "example.com"},
      {" ht\ntp://exa\tmple.com", "example.com"},
      {"http://good.example\\@evil.example/", "good.example evil.example"},
      {"http://good.example#@evil.example/", "good.example evil.example"},
      {"http://good.example?@evil.example/", "good.example evil.example"},
      {"http://a@b@c/", "c b"},
      {"http://0x7f.1/", "127.0.0.1"},
      {"http://2130706433/", "127.0.0.1"},
      {"http://[::ffff:10.0.0.1]:80/", "::ffff:10.0.0.1"},
      {"http://%31%36%39.254.169.254/", "169.254.169.254"},
      {"http://\xef\xbc\x91\xef\xbc\x96\xef\xbc\x99.254.169.254/", "169.254.169.254"},
      {"http://\xef\xbd\x85vil\xe3\x80\x82"
       "com/",
       "evil.com"},
      {"gopher://127.0.0.1:70/_x", "127.0.0.1"},
      {"jar:http://evil.example!/x", "evil.example!"},
      {"file:///etc/passwd", ""},
      {"file://server/share", "server"},
      {"data:text/plain,http://x/", ""},
      {"mailto:a@b", ""},
      {"/path", ""},
      {"example.com", ""},
      {"", ""},
  };
  for (const auto& [url, expected] : cases) EXPECT_EQ(hosts(url), expected) << url;
  EXPECT_EQ(url_destinations("http://a:8080/")[0].port, 8080);
  EXPECT_TRUE(url_destinations("http://127.1/")[0].address.has_value());
  for (const char* url : {"http://a:99999/", "http://a b/", "http://256.1.1.1/", "http://a:1:2/", "http://\xff/"})
    EXPECT_FALSE(url_destinations(url)[0].readable) << url;
  EXPECT_FALSE(url_destinations("http://" + std::string(kAuthorityLimit + 1, 'a'))[0].readable);
  EXPECT_EQ(url_destinations("file:///etc/passwd").size(), 1u);
}

TEST(FetchedUrls, KnowsWhatModelApisFetch) {
  EXPECT_EQ(
      found(
          "application/json",
          R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"http://10.0.0.1/a"}}]}]})"),
      Lines{"certain json: messages[0].content[0].image_url.url 10.0.0.1"});
  EXPECT_EQ(found("application/json", R"({"input":[{"type":"input_image","image_url":"https://a.example/x"}]})"),
            Lines{"certain json: input[0].image_url a.example"});
  EXPECT_EQ(found("application/json", R"({"tools":[{"type":"mcp","server_url":"https://mcp.example"}]})"),
            Lines{"certain json: tools[0].server_url mcp.example"});
  EXPECT_EQ(found("application/json", R"({"source":{"type":"url","url":"https://b.example/"}})"),
            Lines{"certain json: source.url b.example"});
  EXPECT_EQ(found("application/json", R"({"mcp_servers":[{"url":"https://c.example/","name":"x"}]})"),
            Lines{"certain json: mcp_servers[0].url c.example"});
  EXPECT_EQ(found("application/json", R"({"fileData":{"fileUri":"https://d.example/"}})"),
            Lines{"certain json: fileData.fileUri d.example"});
  EXPECT_TRUE(found("application/json", R"({"image_url":{"url":"data:image/png;base64,AAAA"}})").empty());
}

TEST(FetchedUrls, FindsGenericKeysInQueriesFormsAndJson) {
  EXPECT_EQ(found("text/plain", "", "/x?url=http%3A%2F%2F127.1%2F&q=http%3A%2F%2Fa.example"),
            Lines{"possible query: url 127.0.0.1"});
  EXPECT_EQ(found("text/plain", "", "/x?q=http%3A%2F%2F0x7f000001%2F"), Lines{"possible query: q 127.0.0.1"});
  EXPECT_EQ(found("application/x-www-form-urlencoded", "redirect_uri=//evil.example/x"),
            Lines{"possible form: redirect_uri evil.example"});
  EXPECT_EQ(found("multipart/form-data; boundary=b",
                  "--b\r\nContent-Disposition: form-data; name=\"avatar_url\"\r\n\r\nhttp://a.example/\r\n--b\r\n"
                  "Content-Disposition: form-data; name=\"j\"\r\nContent-Type: application/json\r\n\r\n"
                  "{\"webhook\":\"http://b.example\"}\r\n--b--"),
            (Lines{"possible form: avatar_url a.example", "possible form: j: webhook b.example"}));
  EXPECT_EQ(
      found("application/json", R"({"config":{"callback":"evil.example/x","url":"169.254.169.254","name":"a.b"}})"),
      (Lines{"possible json: config.callback evil.example", "possible json: config.url 169.254.169.254"}));
  EXPECT_EQ(found("application/json", R"({"arguments":"{\"url\":\"http://10.1/\"}"})"),
            Lines{"possible json: arguments.url 10.0.0.1"});
  EXPECT_TRUE(found("application/json", R"({"model":"x","text":"see http://a.example","n":1,"to":"bob"})").empty());
}

TEST(FetchedUrls, FindsWhatATextLoads) {
  const std::pair<const char*, Lines> cases[] = {
      {"![x](https://evil.example/?d=secret \"t\")", {"evil.example"}},
      {"![x](<https://evil.example/a b>)", {"evil.example"}},
      {"![x][r]\n[r]: https://evil.example/", {"evil.example"}},
      {"[![x](https://a.example/)](https://b.example/)", {"a.example"}},
      {"[x](https://a.example/)", {}},
      {"<img src=https://a.example/x>", {"a.example"}},
      {"<IMG alt='>' SRC = \"https://a.example/\">", {"a.example"}},
      {"<img src='https&#58;//a.example/'>", {"a.example"}},
      {"<img srcset='https://a.example/1 1x, https://b.example/2 2x'>", {"a.example", "b.example"}},
      {"<iframe src=//a.example>", {"a.example"}},
      {"<a href=https://a.example>", {}},
      {"<link rel=x href=https://a.example>", {"a.example"}},
      {"<svg><image xlink:href='https://a.example'/>", {"a.example"}},
      {"<div style='background:url(https://a.example/x)'>", {"a.example"}},
      {"<style>@import url(\"https://a.example/x\");</style>", {"a.example"}},
      {"<meta http-equiv=refresh content='0; URL=https://a.example/'>", {"a.example"}},
      {"<!DOCTYPE a [<!ENTITY x SYSTEM \"http://a.example/x\">]>", {"a.example"}},
      {"<object data=https://a.example>", {"a.example"}},
      {"a < b and c > d ![", {}},
  };
  for (const auto& [text, expected] : cases) {
    const auto urls = find_embedded_urls(text);
    ASSERT_TRUE(urls) << text;
    Lines got;
    for (const auto& url : *urls) got.push_back(url.destinations[0].host);
    EXPECT_EQ(got, expected) << text;
  }
  EXPECT_EQ(found("application/json", "{\"body\":\"hi ![](http://a.example/x)\"}"),
            Lines{"embedded json: body a.example"});
  EXPECT_EQ(found("application/xml", "<!DOCTYPE a SYSTEM 'file:///etc/passwd'>").size(), 1u);
}

TEST(FetchedUrls, BoundsAndErrors) {
  EXPECT_TRUE(found("application/json", "{").at(0).starts_with("error"));
  EXPECT_TRUE(found("application/json", R"({"url":"a","url":"b"})").at(0).starts_with("error"));
  std::string many = "[";
  for (size_t i = 0; i <= kFetchedUrlLimit; ++i) many += "{\"url\":\"http://a.example/\"},";
  many.back() = ']';
  EXPECT_TRUE(found("application/json", many).at(0).starts_with("error"));
  EXPECT_FALSE(find_embedded_urls(std::string(kFetchedBodyLimit + 1, ' ')));
  // Time must stay linear: each of these would be quadratic in a careless scanner.
  for (const char* piece : {"![", "<img ", "<!", "url(", "]:", "<a \"", "![]("}) {
    std::string text;
    while (text.size() < 1024 * 1024) text += piece;
    (void)find_embedded_urls(text);
  }
}

TEST(FetchedUrls, SaysWhatStandsInATextOnly) {
  const auto urls = find_fetched_urls(head_of("application/json"),
                                      R"({"arguments":"{\"url\":\"http://b.example/\"}","url":"http://c.example/"})");
  ASSERT_TRUE(urls);
  ASSERT_EQ(urls->size(), 2u);
  EXPECT_TRUE((*urls)[0].in_text);
  EXPECT_FALSE((*urls)[1].in_text);
}

TEST(FetchedUrls, ReadsAFormWithAPercentSignThatStandsForItself) {
  const auto found_in = found("application/x-www-form-urlencoded", "note=100%&url=http%3A%2F%2F10.0.0.1%2F&x=%4");
  ASSERT_EQ(found_in.size(), 1u);
  EXPECT_FALSE(found_in[0].starts_with("error")) << found_in[0];
}

}  // namespace
}  // namespace stockade::net
