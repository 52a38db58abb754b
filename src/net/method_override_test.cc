#include "net/method_override.h"

#include <gtest/gtest.h>

namespace stockade::net {
namespace {

RequestHead head_of(std::string_view fields, std::string_view target = "/x") {
  const auto head = parse_request_head(
      "POST " + std::string(target) + " HTTP/1.1\r\nHost: a.example\r\n" + std::string(fields) + "\r\n",
      RequestPlace::origin);
  EXPECT_TRUE(head) << head.error().message();
  return *head;
}

Result<HiddenRequests> hidden(std::string_view type, std::string_view body, std::string_view target = "/x") {
  return find_hidden_requests(head_of("Content-Type: " + std::string(type) + "\r\n", target), body);
}

using Requests = std::vector<BatchedRequest>;

TEST(MethodOverride, FindsHeadersInEverySpelling) {
  struct Case {
    const char* line;
    OverrideKind kind;
  };
  for (const auto& [line, kind] : {Case{"X-HTTP-Method-Override: DELETE", OverrideKind::method},
                                   {"x_http_method: PUT", OverrideKind::method},
                                   {"X-Method-Override: PUT", OverrideKind::method},
                                   {"X-Original-URL: /admin", OverrideKind::path},
                                   {"X-Rewrite-Url: /admin", OverrideKind::path},
                                   {"X-Forwarded-Path: /a", OverrideKind::path},
                                   {"X-Forwarded-Prefix: /a", OverrideKind::path},
                                   {"X-Forwarded-Host: b", OverrideKind::host},
                                   {"Forwarded: host=b", OverrideKind::host}}) {
    const auto found = find_overrides(head_of(std::string(line) + "\r\n"));
    ASSERT_TRUE(found) << line;
    ASSERT_EQ(found->size(), 1u) << line;
    EXPECT_EQ((*found)[0].kind, kind) << line;
    EXPECT_EQ((*found)[0].place, OverridePlace::header) << line;
  }
  EXPECT_TRUE(find_overrides(head_of("X-Request-Id: 1\r\nAccept: */*\r\nX-Forwarded-For: 1.2.3.4\r\n"))->empty());
}

TEST(MethodOverride, FindsQueryFieldsInEverySpelling) {
  for (const char* target : {"/x?_method=DELETE", "/x?a=b&_METHOD=DELETE", "/x?%5fmethod=DELETE",
                             "/x?a=1;_method=DELETE", "/x?$httpMethod=DELETE", "/x?x-http-method-override=DELETE"}) {
    const auto found = find_overrides(head_of("", target));
    ASSERT_TRUE(found) << target;
    ASSERT_EQ(found->size(), 1u) << target;
    EXPECT_EQ((*found)[0].value, "DELETE") << target;
  }
  EXPECT_TRUE(find_overrides(head_of("", "/x?method=card"))->empty());
}

TEST(MethodOverride, FindsFormAndJsonFields) {
  EXPECT_EQ(hidden("application/x-www-form-urlencoded", "a=b&_method=PATCH")->overrides,
            (std::vector<Override>{{OverrideKind::method, OverridePlace::form, "_method", "PATCH"}}));
  EXPECT_EQ(hidden("multipart/form-data; boundary=b",
                   "--b\r\nContent-Disposition: form-data; name=\"_method\"\r\n\r\nPUT\r\n--b--\r\n")
                ->overrides,
            (std::vector<Override>{{OverrideKind::method, OverridePlace::form, "_method", "PUT"}}));
  EXPECT_EQ(hidden("application/json", R"({"_method":"DELETE"})")->overrides.size(), 1u);
  EXPECT_TRUE(hidden("application/json", R"({"method":"a","requests":[1],"batch":"x"})")->empty());
  EXPECT_TRUE(hidden("text/plain", "_method=DELETE")->empty());
}

constexpr std::string_view kGoogle =
    "--b\r\nContent-Type: application/http\r\nContent-ID: <1>\r\n\r\nDELETE /drive/v3/files/1 HTTP/1.1\r\n"
    "X-HTTP-Method-Override: GET\r\n\r\n\r\n--b\r\nContent-Type: application/http\r\n\r\nGET "
    "/farm/v1/x?_method=PUT\r\n\r\n"
    "--b--\r\n";

TEST(BatchedRequests, ReadsAGoogleBatch) {
  const auto found = hidden("multipart/mixed; boundary=b", kGoogle, "/batch/drive/v3");
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ(found->batch, BatchKind::multipart);
  EXPECT_EQ(
      found->requests,
      (Requests{{"DELETE",
                 "/drive/v3/files/1",
                 {{OverrideKind::method, OverridePlace::header, "X-HTTP-Method-Override", "GET"}}},
                {"GET", "/farm/v1/x?_method=PUT", {{OverrideKind::method, OverridePlace::query, "_method", "PUT"}}}}));
}

TEST(BatchedRequests, ReadsAnODataBatchWithAChangeSet) {
  const auto found = hidden(
      "multipart/mixed; boundary=batch_1",
      "--batch_1\r\nContent-Type: multipart/mixed; boundary=set\r\n\r\n--set\r\nContent-Type: application/http\r\n"
      "Content-Transfer-Encoding: binary\r\n\r\nPATCH Customers('A') HTTP/1.1\r\nContent-Type: "
      "application/json\r\n\r\n{}\r\n"
      "--set--\r\n--batch_1--\r\n",
      "/odata/$batch");
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ(found->requests, (Requests{{"PATCH", "Customers('A')", {}}}));
}

TEST(BatchedRequests, ReadsJsonForms) {
  const auto graph =
      hidden("application/json",
             R"({"requests":[{"id":"1","method":"DELETE","url":"/me","headers":{"X-HTTP-Method":"GET"}}]})");
  ASSERT_TRUE(graph) << graph.error().message();
  EXPECT_EQ(graph->batch, BatchKind::json_requests);
  EXPECT_EQ(graph->requests[0].target, "/me");
  EXPECT_EQ(graph->requests[0].overrides.size(), 1u);

  const auto facebook = hidden("application/x-www-form-urlencoded",
                               "batch=%5B%7B%22method%22%3A%22POST%22%2C%22relative_url%22%3A%22me%2Ffeed%22%7D%5D");
  ASSERT_TRUE(facebook) << facebook.error().message();
  EXPECT_EQ(facebook->batch, BatchKind::facebook);
  EXPECT_EQ(facebook->requests, (Requests{{"POST", "me/feed", {}}}));

  const auto rpc = hidden("application/json",
                          R"([{"jsonrpc":"2.0","method":"eth_call","id":1},{"jsonrpc":"2.0","method":"admin_x"}])");
  ASSERT_TRUE(rpc) << rpc.error().message();
  EXPECT_EQ(rpc->batch, BatchKind::json_rpc);
  EXPECT_EQ(rpc->requests, (Requests{{"", "eth_call", {}}, {"", "admin_x", {}}}));

  const auto graphql = hidden("application/json", R"([{"query":"{a}","operationName":"A"},{"query":"mutation{b}"}])");
  EXPECT_EQ(graphql->batch, BatchKind::graphql);
  EXPECT_EQ(graphql->requests.size(), 2u);
}

TEST(BatchedRequests, RefusesWhatCannotBeRead) {
  EXPECT_FALSE(hidden("multipart/mixed; boundary=b", "--b\r\nContent-Type: application/http\r\n\r\nGET /x"));
  EXPECT_FALSE(hidden("multipart/mixed", kGoogle));
  EXPECT_FALSE(
      hidden("multipart/mixed; boundary=b",
             "--b\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: base64\r\n\r\nR0VU\r\n--b--"));
  EXPECT_FALSE(hidden("multipart/mixed; boundary=b",
                      "--b\r\nContent-Type: application/http\r\n\r\nGET /a HTTP/1.1\nX: y\r\n\r\n--b--"));
  EXPECT_FALSE(hidden("multipart/mixed; boundary=b", "--b\r\nContent-Type: application/http\r\n\r\nnothing\r\n--b--"));
  EXPECT_FALSE(hidden("application/json", "{"));
  EXPECT_FALSE(hidden("application/x-www-form-urlencoded", "a=%"));
  EXPECT_FALSE(find_hidden_requests(head_of("Content-Type: a/b\r\nContent-Type: application/json\r\n"), "x"));
}

TEST(BatchedRequests, Bounds) {
  std::string many = "[";
  for (size_t i = 0; i <= kBatchRequestLimit; ++i) many += R"({"jsonrpc":"2.0","method":"a"},)";
  many.back() = ']';
  EXPECT_FALSE(hidden("application/json", many));
  EXPECT_FALSE(hidden("application/json", std::string(kBatchBodyLimit + 1, ' ')));
  std::string fields = "a=b";
  for (size_t i = 0; i <= kOverrideLimit; ++i) fields += "&_method=" + std::to_string(i);
  EXPECT_FALSE(hidden("application/x-www-form-urlencoded", fields));
  std::string nested = "--b\r\nContent-Type: application/http\r\n\r\nGET /x\r\n--b--";
  for (int i = 0; i < 6; ++i) {
    const std::string inner = std::string(1, static_cast<char>('b' + i));
    const std::string outer = std::string(1, static_cast<char>('c' + i));
    nested = "--" + outer + "\r\nContent-Type: multipart/mixed; boundary=" + inner + "\r\n\r\n" + nested + "\r\n--" +
             outer + "--";
  }
  EXPECT_FALSE(hidden("multipart/mixed; boundary=h", nested));
}

}  // namespace
}  // namespace stockade::net
