#include "net/graphql_operation.h"

#include <sodium.h>

#include <algorithm>

#include "net/form_fields.h"
#include "net/http_field.h"
#include "net/strict_json.h"

namespace stockade::net {

namespace {

std::unexpected<Error> refuse(std::string_view reason) {
  return fail(ErrorKind::protocol, "a GraphQL request with {}", reason);
}

// One request before its document is read: from JSON, a query string or a form.
struct Envelope {
  std::optional<std::string> document;
  std::string operation_name;
  std::string hash;  // of extensions.persistedQuery
  std::string id;    // documentId and its relatives
};

bool is_document_id(std::string_view name) {
  static constexpr std::string_view kNames[] = {"id",          "documentId", "document_id", "doc_id",
                                                "queryId",     "query_id",   "queryHash",   "persistedQueryId",
                                                "operationId", "hash",       "sha256Hash",  "documentHash"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

// Readers exist (Go's) that ignore the case of names.
Result<void> check_case(std::string_view name) {
  static constexpr std::string_view kNames[] = {"query", "operationName", "variables", "extensions"};
  for (const auto known : kNames)
    if (name != known && equals_ignoring_case(name, known)) return refuse("a member that differs by case only");
  return {};
}

Result<std::string> hash_of(const JsonValue& extensions) {
  if (extensions.is(JsonKind::null)) return std::string();
  if (!extensions.is(JsonKind::object)) return refuse("extensions that are not an object");
  const auto* persisted = extensions.find("persistedQuery");
  if (persisted == nullptr) return std::string();
  const auto* hash = persisted->find("sha256Hash");
  if (hash == nullptr || !hash->is(JsonKind::string) || hash->text.empty()) return refuse("a malformed persistedQuery");
  return hash->text;
}

Result<void> put(Envelope& envelope, std::string_view name, const JsonValue& value) {
  STOCKADE_TRY(check_case(name));
  if (value.is(JsonKind::null)) return {};
  const bool text = value.is(JsonKind::string);
  if (name == "query") {
    if (!text) return refuse("a query that is not a string");
    envelope.document = value.text;
  } else if (name == "operationName") {
    if (!text) return refuse("an operationName that is not a string");
    envelope.operation_name = value.text;
  } else if (name == "extensions") {
    STOCKADE_ASSIGN(envelope.hash, hash_of(value));
  } else if (is_document_id(name)) {
    if (!text && !value.is(JsonKind::number)) return refuse("a document id that is not a string");
    if (!envelope.id.empty()) return refuse("more than one document id");
    envelope.id = value.text;
  }
  return {};
}

Result<Envelope> read_object(const JsonValue& object) {
  if (!object.is(JsonKind::object)) return refuse("something else than an object");
  Envelope envelope;
  for (size_t i = 0; i < object.names.size(); ++i) STOCKADE_TRY(put(envelope, object.names[i], object.items[i]));
  return envelope;
}

Result<Envelope> read_fields(const std::vector<FormField>& fields) {
  Envelope envelope;
  for (size_t i = 0; i < fields.size(); ++i) {
    for (size_t j = 0; j < i; ++j)
      if (fields[j].name == fields[i].name) return refuse("a parameter that is there twice");
    JsonValue value{.kind = JsonKind::string, .text = fields[i].value};
    if (fields[i].name == "extensions") {
      STOCKADE_ASSIGN(value, parse_strict_json(fields[i].value));
    }
    STOCKADE_TRY(put(envelope, fields[i].name, value));
  }
  return envelope;
}

bool is_sha256_of(std::string_view hash, std::string_view text) {
  unsigned char digest[crypto_hash_sha256_BYTES];
  crypto_hash_sha256(digest, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  char hex[2 * sizeof(digest) + 1];
  sodium_bin2hex(hex, sizeof(hex), digest, sizeof(digest));
  return equals_ignoring_case(hash, hex);
}

Result<GraphqlOperation> operation_of(const Envelope& envelope) {
  const bool document = envelope.document && !envelope.document->empty();
  if (!document) {
    if (!envelope.id.empty() && !envelope.hash.empty()) return refuse("more than one document id");
    const auto& id = envelope.id.empty() ? envelope.hash : envelope.id;
    if (id.empty()) return refuse("no document");
    return GraphqlOperation{.kind = GraphqlKind::persisted, .name = envelope.operation_name, .persisted = id};
  }
  // A server may run the stored document instead of the one that is sent along.
  if (!envelope.id.empty()) return refuse("a document and the id of one");
  if (!envelope.hash.empty() && !is_sha256_of(envelope.hash, *envelope.document))
    return refuse("a document and the hash of another");
  return parse_graphql_document(*envelope.document, envelope.operation_name);
}

bool is_empty(const Envelope& envelope) {
  return !envelope.document && envelope.operation_name.empty() && envelope.hash.empty() && envelope.id.empty();
}

Result<GraphqlRequest> single(const Envelope& envelope) {
  STOCKADE_ASSIGN(auto operation, operation_of(envelope));
  return GraphqlRequest{{std::move(operation)}, false};
}

Result<GraphqlRequest> read_json(std::string_view text) {
  STOCKADE_ASSIGN(const JsonValue value, parse_strict_json(text));
  if (!value.is(JsonKind::array)) {
    STOCKADE_ASSIGN(const Envelope envelope, read_object(value));
    return single(envelope);
  }
  if (value.items.empty()) return refuse("an empty batch");
  if (value.items.size() > kGraphqlBatchLimit) return refuse("a batch that is too long");
  GraphqlRequest request{.batched = true};
  for (const JsonValue& item : value.items) {
    STOCKADE_ASSIGN(const Envelope envelope, read_object(item));
    STOCKADE_ASSIGN(auto operation, operation_of(envelope));
    request.operations.push_back(std::move(operation));
  }
  return request;
}

Result<GraphqlRequest> read_multipart(std::string_view body, const MediaType& type) {
  STOCKADE_ASSIGN(const auto parts, parse_multipart(body, type.parameter("boundary")));
  const Part* operations = nullptr;
  for (const Part& part : parts) {
    if (part.name() == "query") return refuse("a query in a part of its own");
    if (part.name() != "operations") continue;
    if (operations != nullptr) return refuse("operations that are there twice");
    operations = &part;
  }
  if (operations == nullptr) return refuse("no operations in its parts");
  return read_json(operations->content);
}

Result<GraphqlRequest> read_body(const GraphqlHttp& http, const Envelope& url) {
  STOCKADE_ASSIGN(const MediaType type, parse_media_type(http.content_type));
  const auto charset = type.parameter("charset");
  if (!charset.empty() && !equals_ignoring_case(charset, "utf-8")) return refuse("a charset that is not UTF-8");
  if (type.type == "application/graphql") {
    // operationName comes in the URL, where Envelope has found it.
    if (url.document || !url.hash.empty() || !url.id.empty()) return refuse("a document both in its URL and its body");
    Envelope envelope = url;
    envelope.document = std::string(http.body);
    return single(envelope);
  }
  // Servers disagree on which of the two counts.
  if (!is_empty(url)) return refuse("parameters both in its URL and its body");
  if (type.is_json()) return read_json(http.body);
  if (type.type == "application/x-www-form-urlencoded") {
    STOCKADE_ASSIGN(const auto fields, parse_urlencoded(http.body));
    STOCKADE_ASSIGN(const Envelope envelope, read_fields(fields));
    return single(envelope);
  }
  if (type.type == "multipart/form-data") return read_multipart(http.body, type);
  return refuse("a content type that GraphQL does not have");
}

}  // namespace

Result<GraphqlRequest> parse_graphql_request(const GraphqlHttp& http) {
  if (http.body.size() > kGraphqlBodyLimit) return refuse("a body longer than 1 MiB");
  STOCKADE_ASSIGN(const auto fields, parse_urlencoded(http.query.value_or("")));
  STOCKADE_ASSIGN(const Envelope url, read_fields(fields));
  if (http.method == "GET" || http.method == "HEAD") {
    if (!http.body.empty()) return refuse("a body where none belongs");
    return single(url);
  }
  if (http.method != "POST") return refuse("a method that is neither GET nor POST");
  return http.body.empty() ? single(url) : read_body(http, url);
}

}  // namespace stockade::net
