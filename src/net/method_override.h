// Requests in which another one hides: headers, query and form fields that servers and frameworks take for the real
// method, path or host, and bodies that carry many requests (Google and OData batches, Microsoft Graph, Facebook,
// JSON-RPC, GraphQL). A rule that limits methods and paths refuses or judges each of them; this says what they are.
//
// Names are compared as frameworks do that fold case, "_" and "-". Sources: Rack and Rails (_method), Symfony, Laravel,
// ASP.NET (X-Original-URL, X-Rewrite-URL), Express method-override, Zend, Google APIs (batch, X-HTTP-Method-Override),
// OData 4.01 part 1, 11.7, Microsoft Graph JSON batching, JSON-RPC 2.0, 6. Pure, any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "net/http1.h"

namespace stockade::net {

inline constexpr size_t kOverrideLimit = 64;
inline constexpr size_t kBatchRequestLimit = 1000;
inline constexpr size_t kBatchBodyLimit = 4 * 1024 * 1024;
inline constexpr size_t kBatchDepthLimit = 4;  // change sets inside batches, batches inside batches

enum class OverrideKind { method, path, host, other };
enum class OverridePlace { header, query, form, json };

struct Override {
  OverrideKind kind = OverrideKind::method;
  OverridePlace place = OverridePlace::header;
  std::string name;   // as sent
  std::string value;  // as sent, decoded where it was encoded
  bool operator==(const Override&) const = default;
};

enum class BatchKind { none, multipart, json_requests, facebook, json_rpc, graphql };

struct BatchedRequest {
  std::string method;  // HTTP's; of JSON-RPC: empty
  std::string target;  // path or URL as written there; of JSON-RPC: the method; of GraphQL: the operationName
  std::vector<Override> overrides;
  bool operator==(const BatchedRequest&) const = default;
};

struct HiddenRequests {
  std::vector<Override> overrides;
  BatchKind batch = BatchKind::none;
  std::vector<BatchedRequest> requests;

  bool empty() const { return overrides.empty() && batch == BatchKind::none; }
};

// By the head alone.
Result<std::vector<Override>> find_overrides(const RequestHead& head);
// By head and whole, decoded body (no content or transfer coding). A body whose type says that it holds fields or
// requests, and that can't be read, is an error; other types are not looked at.
Result<HiddenRequests> find_hidden_requests(const RequestHead& head, std::string_view body);

}  // namespace stockade::net
