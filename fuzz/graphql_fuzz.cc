// GraphQL requests, forms, and JSON. What we understand of a document is what we understand of it with other white
// space and comments, and of the same document inside JSON, in a query and in a batch; a field behind fragments is
// found like one that stands there itself. nlohmann's reader finds every JSON sound that ours does.
//
// covers: src/net/graphql_document.cc src/net/graphql_operation.cc src/net/form_fields.cc src/net/strict_json.cc
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "net/form_fields.h"
#include "net/graphql_operation.h"
#include "net/strict_json.h"

namespace {

using namespace stockade;
using namespace stockade::net;

void require(bool condition) {
  if (!condition) std::abort();
}

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const char c : text) {
    out += '%';
    out += kDigits[static_cast<uint8_t>(c) >> 4];
    out += kDigits[static_cast<uint8_t>(c) & 15];
  }
  return out;
}

void fuzz_document(std::string_view bytes) {
  const std::string document(bytes);
  const auto operation = parse_graphql_document(document);
  if (!operation) return;
  require(!operation->fields.empty() && operation->persisted.empty());
  if (document.size() < kGraphqlDocumentLimit - 16) {
    const auto padded = parse_graphql_document("#x\n ,,\xef\xbb\xbf" + document + "\n#y");
    require(padded && *padded == *operation);
  }
  const auto in_query = parse_graphql_request({"GET", "query=" + percent_encoded(document), "", ""});
  require(in_query && in_query->operations[0] == *operation);
  const std::string quoted = nlohmann::json(document).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (nlohmann::json::parse(quoted) == document) {  // it was UTF-8
    const std::string body = "[{\"query\":" + quoted + "},{\"query\":\"{a}\"}]";
    const auto in_batch = parse_graphql_request({"POST", {}, "application/json", body});
    require(in_batch && in_batch->operations.size() == 2 && in_batch->operations[0] == *operation);
  }
}

// The same selections, once of an operation and once behind two fragments.
void fuzz_selections(std::string_view bytes) {
  const std::string selections(bytes);
  const auto plain = parse_graphql_document("{" + selections + "}");
  if (!plain || selections.find("ZZ") != std::string::npos) return;
  const auto behind =
      parse_graphql_document("query{...ZZone} fragment ZZone on Q{...ZZtwo} fragment ZZtwo on Q{" + selections + "}");
  require(!behind || (behind->fields == plain->fields && behind->kind == plain->kind));
  require(behind || selections.size() > 4096);
}

void fuzz_json(std::string_view bytes) {
  const auto value = parse_strict_json(std::string(bytes));
  if (!value) return;
  try {
    (void)nlohmann::json::parse(bytes);
  } catch (const nlohmann::json::out_of_range&) {  // 1e999 is sound
  } catch (const nlohmann::json::exception&) {
    require(false);
  }
}

void fuzz_forms(std::string_view bytes) {
  const auto fields = parse_urlencoded(std::string(bytes));
  if (fields) {
    std::string again;
    for (const auto& field : *fields) again += percent_encoded(field.name) + "=" + percent_encoded(field.value) + "&";
    const auto read_again = parse_urlencoded(again);
    require(read_again && *read_again == *fields);
  }
  (void)parse_media_type(std::string(bytes));
  const auto parts = parse_multipart(std::string(bytes), "b");
  if (!parts) return;
  std::string again;
  for (const auto& part : *parts) {
    again += "--b\r\n";
    for (const auto& field : part.fields) again += field.name + ": " + field.value + "\r\n";
    again += "\r\n";
    again += "x\r\n";
    (void)part.name();
  }
  const auto second = parse_multipart(again + "--b--", "b");
  require(again.empty() || (second && second->size() == parts->size()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 5) {
    case 0:
      fuzz_document(bytes);
      break;
    case 1:
      (void)parse_graphql_request({"POST", {}, "application/json", bytes});
      fuzz_json(bytes);
      break;
    case 2:
      (void)parse_graphql_request({"GET", bytes, "", ""});
      (void)parse_graphql_request({"POST", {}, "application/x-www-form-urlencoded", bytes});
      break;
    case 3:
      (void)parse_graphql_request({"POST", {}, "multipart/form-data; boundary=b", bytes});
      fuzz_forms(bytes);
      break;
    default:
      (void)parse_graphql_request({"POST", "operationName=A", "application/graphql", bytes});
      fuzz_selections(bytes);
      break;
  }
  return 0;
}
