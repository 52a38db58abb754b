#include "net/graphql_operation.h"

#include <gtest/gtest.h>

#include "net/form_fields.h"
#include "net/strict_json.h"

namespace stockade::net {
namespace {

using Names = std::vector<std::string>;

std::string problem(const auto& result) { return result ? "" : result.error().message(); }

Result<GraphqlRequest> post(std::string_view body, std::string_view type = "application/json",
                            std::optional<std::string_view> query = {}) {
  return parse_graphql_request({"POST", query, type, body});
}

TEST(GraphqlDocument, FindsTopLevelFieldsThroughFragmentsAliasesAndDirectives) {
  const auto operation = parse_graphql_document(R"(
    # a comment { deleteAll }
    mutation M($x: [Int!]! = [1, 2] @d, $y: In = {a: {b: "}"}}) @live {
      safe: deleteRepository(input: {id: $x, list: [1.5e3, -2, "a\"}", """block \""" " }"""], on: true}) { a { b } }
      ...F @include(if: false)
      ... on Mutation { addStar }
      ... @skip(if: true) { inner { query } }
    }
    fragment F on Mutation { ...G closeIssue }
    fragment G on Mutation { mergeBranch }
  )");
  ASSERT_TRUE(operation) << problem(operation);
  EXPECT_EQ(operation->kind, GraphqlKind::mutation);
  EXPECT_EQ(operation->name, "M");
  EXPECT_EQ(operation->fields, (Names{"addStar", "closeIssue", "deleteRepository", "inner", "mergeBranch"}));
}

TEST(GraphqlDocument, PicksTheNamedOperation) {
  constexpr std::string_view kTwo = "query A { a } mutation B { b }";
  EXPECT_EQ(parse_graphql_document(kTwo, "A")->kind, GraphqlKind::query);
  EXPECT_EQ(parse_graphql_document(kTwo, "B")->fields, Names{"b"});
  EXPECT_FALSE(parse_graphql_document(kTwo));
  EXPECT_FALSE(parse_graphql_document(kTwo, "C"));
  EXPECT_FALSE(parse_graphql_document("{ a }", "A"));
  EXPECT_EQ(parse_graphql_document("{a}")->fields, Names{"a"});
  EXPECT_EQ(parse_graphql_document("query query { mutation }")->fields, Names{"mutation"});
  EXPECT_EQ(parse_graphql_document("subscription { a }")->kind, GraphqlKind::subscription);
}

TEST(GraphqlDocument, RefusesWhatServersCouldReadOtherwise) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "no operation"},
      {"fragment F on Q { a }", "no operation"},
      {"{ a } { b }", "anonymous"},
      {"{ a } query B { b }", "anonymous"},
      {"query A { a } mutation A { b }", "twice"},
      {"{ ...F } fragment F on Q { a } fragment F on M { b }", "twice"},
      {"{ ...F }", "not there"},
      {"{ a { ...F } }", "not there"},
      {"{ }", "empty"},
      {"{ a", "missing name"},
      {"{ a } }", "missing name"},
      {"{ a(x: ) }", "missing value"},
      {"{ a() }", "empty list"},
      {"{ a(x: \"b\nc\") }", "does not end"},
      {"{ a(x: \"\"\"b) }", "does not end"},
      {"{ a(x: 01) }", "number"},
      {"{ a(x: 1x) }", "number"},
      {"{ a ? }", "begins nothing"},
      {"type Q { a: Int }", "not executable"},
      {"schema { query: Q }", "not executable"},
      {"fragment on on Q { a } { b }", "called"},
      {"subscription { a b }", "more than one field"},
      {"{ a # \xe2\x80\xa8 deleteAll \n }", "comment"},
      {"{ a # \xff \n }", "comment"},
      {"{ a: }", "missing name"},
      {"query (: Int) { a }", "missing punctuator"},
  };
  for (const auto& [text, reason] : cases)
    EXPECT_NE(problem(parse_graphql_document(text)).find(reason), std::string::npos)
        << text << " -> " << problem(parse_graphql_document(text));
}

TEST(GraphqlDocument, FollowsACircleOfFragmentsOnce) {
  const auto operation = parse_graphql_document("{ ...A } fragment A on Q { ...B a } fragment B on Q { ...A b }");
  ASSERT_TRUE(operation) << problem(operation);
  EXPECT_EQ(operation->fields, (Names{"a", "b"}));
}

TEST(GraphqlDocument, Bounds) {
  const auto nested = [](size_t depth) {
    std::string text;
    for (size_t i = 0; i < depth; ++i) text += "{a";
    return text + std::string(depth, '}');
  };
  EXPECT_TRUE(parse_graphql_document(nested(kGraphqlDepthLimit)));
  EXPECT_FALSE(parse_graphql_document(nested(kGraphqlDepthLimit + 2)));
  EXPECT_FALSE(parse_graphql_document("{a(b:" + std::string(100, '[') + std::string(100, ']') + ")}"));
  EXPECT_FALSE(parse_graphql_document("{" + std::string(kGraphqlDocumentLimit, ' ') + "a}"));
  std::string tokens;
  for (size_t i = 0; i < kGraphqlTokenLimit; ++i) tokens += "a ";
  EXPECT_NE(problem(parse_graphql_document("{" + tokens + "}")).find("tokens"), std::string::npos);
  std::string fields;
  for (size_t i = 0; i <= kGraphqlFieldLimit; ++i) fields += "a" + std::to_string(i) + " ";
  EXPECT_NE(problem(parse_graphql_document("{" + fields + "}")).find("fields"), std::string::npos);
  std::string definitions;
  for (size_t i = 0; i <= kGraphqlDefinitionLimit; ++i) definitions += "query a" + std::to_string(i) + "{a}";
  EXPECT_NE(problem(parse_graphql_document(definitions, "a1")).find("definitions"), std::string::npos);
}

TEST(GraphqlRequest, ReadsEveryFormOfRequest) {
  const auto expect_fields = [](const Result<GraphqlRequest>& request, const char* name) {
    ASSERT_TRUE(request) << name << ": " << problem(request);
    ASSERT_EQ(request->operations.size(), 1u) << name;
    EXPECT_EQ(request->operations[0].fields, Names{"viewer"}) << name;
  };
  expect_fields(parse_graphql_request({"GET", "query=%7Bviewer%7D&variables=%7B%7D", "", ""}), "GET");
  expect_fields(post(R"({"query":"{viewer}","variables":null,"operationName":null})"), "JSON");
  expect_fields(post(R"({"query":"query A{viewer} query B{b}","operationName":"A"})"), "operationName");
  expect_fields(post("{viewer}", "application/graphql"), "application/graphql");
  expect_fields(post("query=%7Bviewer%7D", "application/x-www-form-urlencoded"), "form");
  expect_fields(post(R"({"query":"{\u0076iewer}"})", "application/graphql+json; charset=UTF-8"), "escape");
  expect_fields(
      post("--b\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n{\"query\":\"{viewer}\"}\r\n--b\r\n"
           "Content-Disposition: form-data; name=\"0\"; filename=\"a\"\r\n\r\nx\r\n--b--\r\n",
           "multipart/form-data; boundary=b"),
      "multipart");
  const auto batch = post(R"([{"query":"{a}"},{"query":"mutation{b}"}])");
  ASSERT_TRUE(batch) << problem(batch);
  EXPECT_TRUE(batch->batched);
  EXPECT_EQ(batch->operations[1].kind, GraphqlKind::mutation);
}

TEST(GraphqlRequest, TellsAPersistedDocument) {
  const auto hashed = parse_graphql_request(
      {"GET", "extensions=%7B%22persistedQuery%22%3A%7B%22version%22%3A1%2C%22sha256Hash%22%3A%22abc%22%7D%7D", "",
       ""});
  ASSERT_TRUE(hashed) << problem(hashed);
  EXPECT_EQ(hashed->operations[0].kind, GraphqlKind::persisted);
  EXPECT_EQ(hashed->operations[0].persisted, "abc");
  EXPECT_EQ(post(R"({"documentId":"d1"})")->operations[0].persisted, "d1");
  const auto with_hash = [](std::string_view document) {
    return post(
        std::string(R"({"query":")") + std::string(document) +
        R"(","extensions":{"persistedQuery":{"sha256Hash":"6c1358d167943758b4d42060c70eb270bc2df178458db8d53fca49aa9079a0fc"}}})");  // of "{viewer}"
  };
  EXPECT_EQ(with_hash("{viewer}")->operations[0].fields, Names{"viewer"});
  EXPECT_NE(problem(with_hash("{a}")).find("hash of another"), std::string::npos);
}

TEST(GraphqlRequest, RefusesWhatServersCouldReadOtherwise) {
  const std::pair<const char*, Result<GraphqlRequest>> cases[] = {
      {"both in URL and body", post(R"({"query":"{a}"})", "application/json", "query=%7Bb%7D")},
      {"operationName in the URL", post(R"({"query":"query A{a} query B{b}"})", "application/json", "operationName=B")},
      {"a body in a GET", parse_graphql_request({"GET", "query=%7Ba%7D", "application/json", "{}"})},
      {"a parameter twice", parse_graphql_request({"GET", "query=%7Ba%7D&query=%7Bb%7D", "", ""})},
      {"a member twice", post(R"({"query":"{a}","query":"{b}"})")},
      {"a member in another case", post(R"({"query":"{a}","Query":"mutation{b}"})")},
      {"a document and an id", post(R"({"query":"{a}","documentId":"1"})")},
      {"two ids", post(R"({"id":"1","doc_id":"2"})")},
      {"no document", post("{}")},
      {"an empty batch", post("[]")},
      {"a batch in a batch", post(R"([[{"query":"{a}"}]])")},
      {"a query that is no string", post(R"({"query":["{a}"]})")},
      {"another charset", post(R"({"query":"{a}"})", "application/json; charset=utf-16")},
      {"no content type", post(R"({"query":"{a}"})", "")},
      {"another content type", post(R"({"query":"{a}"})", "text/plain")},
      {"another method", parse_graphql_request({"PUT", {}, "application/json", "{\"query\":\"{a}\"}"})},
      {"invalid UTF-8", post("{\"query\":\"{a}\xff\"}")},
      {"something behind", post(R"({"query":"{a}"}{"query":"{b}"})")},
      {"a bad escape", parse_graphql_request({"GET", "query=%7", "", ""})},
      {"too long a body", post(std::string(kGraphqlBodyLimit + 1, ' '))},
  };
  for (const auto& [name, request] : cases) EXPECT_FALSE(request) << name;
  std::string batch = "[";
  for (size_t i = 0; i <= kGraphqlBatchLimit; ++i) batch += std::string(i ? "," : "") + R"({"query":"{a}"})";
  EXPECT_FALSE(post(batch + "]"));
}

TEST(StrictJson, RefusesWhatReadersDisagreeOn) {
  for (const char* text : {"",
                           "{",
                           "[1,]",
                           "{\"a\":1,}",
                           "{a:1}",
                           "'a'",
                           "01",
                           "1.",
                           ".5",
                           "+1",
                           "NaN",
                           "tru",
                           "1 2",
                           "\"\t\"",
                           "\"\\x\"",
                           "\"\\ud800\"",
                           "\"\\udc00\"",
                           "\"\\ud800\\u0041\"",
                           "\"\xc0\x80\"",
                           "\xef\xbb\xbf{}",
                           "{\"a\":1,\"\\u0061\":2}",
                           "[1 2]",
                           "/**/1",
                           "\"\\u12\""})
    EXPECT_FALSE(parse_strict_json(text)) << text;
  for (const char* text : {"0", "-0.5e+10", "\"\\ud83d\\ude00\"", " [ ] ", "{\"a\":{\"a\":null}}", "\"\\u0000\""})
    EXPECT_TRUE(parse_strict_json(text)) << text;
  EXPECT_EQ(parse_strict_json("\"\\ud83d\\ude00\\n\"")->text, "\xf0\x9f\x98\x80\n");
  EXPECT_EQ(parse_strict_json("{\"a\":[1,true]}")->find("a")->items[1].text, "true");
}

TEST(StrictJson, BoundsDepthAndValues) {
  EXPECT_TRUE(parse_strict_json(std::string(65, '[') + std::string(65, ']')));
  EXPECT_FALSE(parse_strict_json(std::string(66, '[') + std::string(66, ']')));
  EXPECT_FALSE(parse_strict_json("[1,2,3]", {.values = 3}));
  EXPECT_TRUE(parse_strict_json("[1,2]", {.values = 3}));
}

TEST(FormFields, ReadsFormsAndTypes) {
  EXPECT_EQ(*parse_urlencoded("a=b+c&d=%2B&&e"), (std::vector<FormField>{{"a", "b c"}, {"d", "+"}, {"e", ""}}));
  EXPECT_FALSE(parse_urlencoded("a=%2"));
  EXPECT_FALSE(parse_urlencoded("a=%zz"));
  std::string many;
  for (size_t i = 0; i <= kFormFieldLimit; ++i) many += "a&";
  EXPECT_FALSE(parse_urlencoded(many));
  const auto type = parse_media_type("Multipart/Mixed; Boundary=\"a b\\\"\" ; x=y");
  ASSERT_TRUE(type) << problem(type);
  EXPECT_EQ(type->type, "multipart/mixed");
  EXPECT_EQ(type->parameter("boundary"), "a b\"");
  for (const char* text : {"json", "a/b; c", "a/b; c=d; c=e", "a/b; c=\"d", "a/b, c/d", "a/b; c= "})
    EXPECT_FALSE(parse_media_type(text)) << text;
}

TEST(FormFields, ReadsParts) {
  const auto parts =
      parse_multipart("preamble\r\n--b\r\nA: 1\r\n\r\nx\r\n--b\r\n\r\n\r\n--b\r\n\r\ny\r\n--b--\r\nepilogue", "b");
  ASSERT_TRUE(parts) << problem(parts);
  ASSERT_EQ(parts->size(), 3u);
  EXPECT_EQ((*parts)[0].content, "x");
  EXPECT_EQ((*parts)[1].content, "");
  EXPECT_EQ((*parts)[2].content, "y");
  for (const char* body : {"", "--b\r\n\r\nx", "--b\r\nA: 1\r\nA: 2\r\n\r\nx\r\n--b--", "--bx\r\n\r\nx\r\n--b--",
                           "--b\n\nx\n--b--", "--b\r\nA : 1\r\n\r\nx\r\n--b--", "--b\r\n\r\nx\r\n--b "})
    EXPECT_FALSE(parse_multipart(body, "b")) << body;
  EXPECT_FALSE(parse_multipart("--\r\n\r\n\r\n----", ""));
  std::string many;
  for (size_t i = 0; i <= kPartLimit; ++i) many += "--b\r\n\r\nx\r\n";
  EXPECT_FALSE(parse_multipart(many + "--b--", "b"));
}

}  // namespace
}  // namespace stockade::net
