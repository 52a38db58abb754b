// Which GraphQL operations a request over HTTP would run, for rules that limit by operation: their kinds, names and
// top-level fields, seen through fragments, aliases and directives. Read as strictly as the rule needs: what two
// servers could run differently (two anonymous operations, no operationName among several, a document both in the URL
// and in the body, names that differ by case) is an error, and so is a document that does not parse.
//
// GraphQL (October 2021), sections 2, 6.1 and 6.3; "GraphQL over HTTP" (draft 2025); the multipart request
// specification; automatic persisted queries of Apollo. A schema is not known: whether a field exists, and what its
// arguments do, is not judged. Pure, any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace stockade::net {

inline constexpr size_t kGraphqlDocumentLimit = 256 * 1024;
inline constexpr size_t kGraphqlBodyLimit = 1024 * 1024;
inline constexpr size_t kGraphqlTokenLimit = 32 * 1024;
inline constexpr size_t kGraphqlDepthLimit = 64;
inline constexpr size_t kGraphqlDefinitionLimit = 512;
inline constexpr size_t kGraphqlFieldLimit = 1024;  // top-level fields of one operation, and spreads followed for it
inline constexpr size_t kGraphqlBatchLimit = 128;

enum class GraphqlKind { query, mutation, subscription, persisted };

struct GraphqlOperation {
  GraphqlKind kind = GraphqlKind::query;
  std::string name;                 // empty: anonymous
  std::vector<std::string> fields;  // names, not aliases; sorted, each once
  std::string persisted;            // the id or hash of a document that only the server knows; kind is `persisted`
  bool operator==(const GraphqlOperation&) const = default;
};

struct GraphqlRequest {
  std::vector<GraphqlOperation> operations;  // at least one
  bool batched = false;
};

struct GraphqlHttp {
  std::string_view method;
  std::optional<std::string_view> query;  // of the URL, raw
  std::string_view content_type;          // the field's value, or empty
  std::string_view body;
};
Result<GraphqlRequest> parse_graphql_request(const GraphqlHttp& request);

// The operation of `document` that would run; `operation_name` empty: the only one.
Result<GraphqlOperation> parse_graphql_document(std::string_view document, std::string_view operation_name = {});

}  // namespace stockade::net
