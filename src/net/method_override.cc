#include "net/method_override.h"

#include <algorithm>
#include <optional>

#include "net/form_fields.h"
#include "net/http_field.h"
#include "net/strict_json.h"

namespace stockade::net {

namespace {

std::unexpected<Error> refuse(std::string_view reason) { return fail(ErrorKind::protocol, "{}", reason); }

std::string folded(std::string_view name) {
  std::string out = lower_case(name);
  std::replace(out.begin(), out.end(), '_', '-');
  return out;
}

struct KnownName {
  std::string_view name;
  OverrideKind kind;
};

std::optional<OverrideKind> kind_of_header(std::string_view name) {
  using enum OverrideKind;
  static constexpr KnownName kNames[] = {
      {"x-http-method-override", method},
      {"x-http-method", method},
      {"x-method-override", method},
      {"x-original-method", method},
      {"x-forwarded-method", method},
      {"x-goog-api-method-override", method},
      {"x-request-method", method},
      {"x-tunneled-method", method},
      {"x-restli-method", method},
      {"method-override", method},
      {"x-original-url", path},
      {"x-original-uri", path},
      {"x-rewrite-url", path},
      {"x-rewrite-uri", path},
      {"x-override-url", path},
      {"x-http-path-override", path},
      {"x-http-destinationurl", path},
      {"x-forwarded-uri", path},
      {"x-forwarded-url", path},
      {"x-forwarded-path", path},
      {"x-forwarded-prefix", path},
      {"x-script-name", path},
      {"x-envoy-original-path", path},
      {"x-envoy-original-dst-host", host},
      {"x-accel-redirect", path},
      {"x-sendfile", path},
      {"x-proxy-url", path},
      {"request-uri", path},
      {"destination", path},  // WebDAV: COPY and MOVE write there
      {"x-forwarded-host", host},
      {"x-forwarded-server", host},
      {"x-original-host", host},
      {"x-host", host},
      {"x-http-host-override", host},
      {"x-backend-host", host},
      {"x-target-host", host},
      {"forwarded", host},
  };
  const auto wanted = folded(name);
  for (const auto& known : kNames)
    if (known.name == wanted) return known.kind;
  return std::nullopt;
}

std::optional<OverrideKind> kind_of_field(std::string_view name) {
  using enum OverrideKind;
  static constexpr KnownName kNames[] = {
      {"-method", method},
      {"-http-method", method},
      {"x-http-method-override", method},
      {"x-http-method", method},
      {"x-method-override", method},
      {"$httpmethod", method},
      {"httpmethod", method},
      {"http-method", method},
      {"method-override", method},
      {"--method", method},
      {"-method-override", method},
      {"x-original-url", path},
      {"x-rewrite-url", path},
      {"-path", path},
      {"-url", path},
      {"$httpheaders", other},
  };
  const auto wanted = folded(name);
  for (const auto& known : kNames)
    if (known.name == wanted) return known.kind;
  return std::nullopt;
}

Result<void> add(std::vector<Override>& out, Override found) {
  if (out.size() == kOverrideLimit) return refuse("a request with too many overrides");
  out.push_back(std::move(found));
  return {};
}

Result<void> add_headers(std::vector<Override>& out, std::span<const HttpField> fields) {
  for (const HttpField& field : fields)
    if (const auto kind = kind_of_header(field.name))
      STOCKADE_TRY(add(out, {*kind, OverridePlace::header, field.name, field.value}));
  return {};
}

// Servers exist that split at ";" as well as at "&"; both readings count.
Result<void> add_fields(std::vector<Override>& out, std::string_view text, OverridePlace place) {
  const auto add_all = [&](std::string_view form) -> Result<void> {
    STOCKADE_ASSIGN(const auto fields, parse_urlencoded(form));
    for (const FormField& field : fields) {
#ifdef STOCKADE_PLANTED_BUG
      if (field.name.empty()) break;
#endif
      const auto kind = kind_of_field(field.name);
      if (!kind) continue;
      Override found{*kind, place, field.name, field.value};
      if (std::find(out.begin(), out.end(), found) == out.end()) STOCKADE_TRY(add(out, std::move(found)));
    }
    return {};
  };
  STOCKADE_TRY(add_all(text));
  if (text.find(';') == std::string_view::npos) return {};
  std::string other(text);
  std::replace(other.begin(), other.end(), ';', '&');
  return add_all(other);
}

// "GET /x HTTP/1.1": of a request inside a batch; the version may be missing.
Result<BatchedRequest> parse_request_line(std::string_view line) {
  const auto first = line.find(' ');
  if (first == std::string_view::npos || !is_token(line.substr(0, first)))
    return refuse("a batched request without a request line");
  auto target = line.substr(first + 1);
  const auto second = target.find(' ');
  if (second != std::string_view::npos) {
    if (!target.substr(second + 1).starts_with("HTTP/")) return refuse("a batched request with a malformed line");
    target = target.substr(0, second);
  }
  if (target.empty()) return refuse("a batched request without a target");
  return BatchedRequest{std::string(line.substr(0, first)), std::string(target), {}};
}

// A part of type application/http: a request line, header lines, and a body that is not looked at.
Result<BatchedRequest> parse_http_part(std::string_view content) {
  while (content.starts_with("\r\n")) content.remove_prefix(2);
  if (content.substr(0, content.find("\r\n")).find('\n') != std::string_view::npos)
    return refuse("a batched request with bare line ends");
  const auto end = std::min(content.find("\r\n"), content.size());
  STOCKADE_ASSIGN(BatchedRequest request, parse_request_line(content.substr(0, end)));
  content.remove_prefix(std::min(end + 2, content.size()));
  std::vector<HttpField> fields;
  while (!content.empty()) {
    const auto line_end = std::min(content.find("\r\n"), content.size());
    const auto line = content.substr(0, line_end);
    if (line.empty()) break;
    STOCKADE_ASSIGN(HttpField field, parse_field_line(line));
    fields.push_back(std::move(field));
    if (fields.size() > kFieldCountLimit) return refuse("a batched request with too many fields");
    content.remove_prefix(std::min(line_end + 2, content.size()));
  }
  STOCKADE_TRY(add_headers(request.overrides, fields));
  const auto question = request.target.find('?');
  if (question != std::string::npos)
    STOCKADE_TRY(
        add_fields(request.overrides, std::string_view(request.target).substr(question + 1), OverridePlace::query));
  return request;
}

Result<void> add_request(HiddenRequests& out, BatchedRequest request) {
  if (out.requests.size() == kBatchRequestLimit) return refuse("a batch of too many requests");
  out.requests.push_back(std::move(request));
  return {};
}

Result<void> read_batch_parts(HiddenRequests& out, std::string_view body, std::string_view boundary, size_t depth) {
  if (depth > kBatchDepthLimit) return refuse("a batch that is nested too deeply");
  STOCKADE_ASSIGN(const auto parts, parse_multipart(body, boundary));
  for (const Part& part : parts) {
    const HttpField* field = find_field(part.fields, "content-type");
    STOCKADE_ASSIGN(const MediaType type, parse_media_type(field == nullptr ? "" : field->value));
    if (type.type == "multipart/mixed") {
      STOCKADE_TRY(read_batch_parts(out, part.content, type.parameter("boundary"), depth + 1));
    } else if (type.type == "application/http") {
      const HttpField* coding = find_field(part.fields, "content-transfer-encoding");
      if (coding != nullptr && !equals_ignoring_case(coding->value, "binary") &&
          !equals_ignoring_case(coding->value, "8bit") && !equals_ignoring_case(coding->value, "7bit"))
        return refuse("a batched request in a transfer encoding");
      out.batch = BatchKind::multipart;
      STOCKADE_ASSIGN(BatchedRequest request, parse_http_part(part.content));
      STOCKADE_TRY(add_request(out, std::move(request)));
    }
  }
  return {};
}

std::string text_of(const JsonValue& object, std::string_view name) {
  for (size_t i = 0; i < object.names.size(); ++i)
    if (equals_ignoring_case(object.names[i], name) && object.items[i].is(JsonKind::string))
      return object.items[i].text;
  return {};
}

const JsonValue* find_folded(const JsonValue& object, std::string_view name) {
  for (size_t i = 0; i < object.names.size(); ++i)
    if (equals_ignoring_case(object.names[i], name)) return &object.items[i];
  return nullptr;
}

// {"method": "GET", "url": "/me", "headers": {...}}: OData and Microsoft Graph; Facebook says relative_url.
Result<BatchedRequest> read_json_request(const JsonValue& item) {
  if (!item.is(JsonKind::object)) return refuse("a batch of something else than requests");
  BatchedRequest request{text_of(item, "method"), text_of(item, "url"), {}};
  if (request.target.empty()) request.target = text_of(item, "relative_url");
  if (request.target.empty()) return refuse("a batched request without a target");
  if (request.method.empty()) request.method = "GET";
  if (const auto* headers = find_folded(item, "headers"); headers != nullptr && headers->is(JsonKind::object))
    for (size_t i = 0; i < headers->names.size(); ++i)
      if (const auto kind = kind_of_header(headers->names[i]))
        STOCKADE_TRY(add(request.overrides, {*kind, OverridePlace::json, headers->names[i], headers->items[i].text}));
  return request;
}

Result<void> read_json_requests(HiddenRequests& out, const JsonValue& list, BatchKind kind) {
  out.batch = kind;
  for (const JsonValue& item : list.items) {
    STOCKADE_ASSIGN(BatchedRequest request, read_json_request(item));
    STOCKADE_TRY(add_request(out, std::move(request)));
  }
  return {};
}

bool is_request_like(const JsonValue& list) {
  return list.is(JsonKind::array) && !list.items.empty() &&
         std::all_of(list.items.begin(), list.items.end(), [](const JsonValue& item) {
           return item.is(JsonKind::object) && !(text_of(item, "url") + text_of(item, "relative_url")).empty() &&
                  find_folded(item, "method") != nullptr;
         });
}

// An array at the top: JSON-RPC and GraphQL. One element that looks like a call makes it a batch.
Result<void> read_json_array(HiddenRequests& out, const JsonValue& list) {
  for (const JsonValue& item : list.items) {
    if (!item.is(JsonKind::object)) continue;
    if (find_folded(item, "jsonrpc") != nullptr) {
      out.batch = BatchKind::json_rpc;
      STOCKADE_TRY(add_request(out, {"", text_of(item, "method"), {}}));
    } else if (find_folded(item, "query") != nullptr || find_folded(item, "extensions") != nullptr) {
      if (out.batch == BatchKind::none) out.batch = BatchKind::graphql;
      STOCKADE_TRY(add_request(out, {"", text_of(item, "operationName"), {}}));
    }
  }
  if (out.batch == BatchKind::none && is_request_like(list))
    return read_json_requests(out, list, BatchKind::json_requests);
  return {};
}

Result<void> read_json_body(HiddenRequests& out, std::string_view body) {
  STOCKADE_ASSIGN(const JsonValue value, parse_strict_json(body));
  if (value.is(JsonKind::array)) return read_json_array(out, value);
  if (!value.is(JsonKind::object)) return {};
  for (size_t i = 0; i < value.names.size(); ++i) {
    const JsonValue& item = value.items[i];
    if (const auto kind = kind_of_field(value.names[i]); kind && item.is(JsonKind::string))
      STOCKADE_TRY(add(out.overrides, {*kind, OverridePlace::json, value.names[i], item.text}));
    if (equals_ignoring_case(value.names[i], "requests") && is_request_like(item))
      STOCKADE_TRY(read_json_requests(out, item, BatchKind::json_requests));
    if (equals_ignoring_case(value.names[i], "batch") && is_request_like(item))
      STOCKADE_TRY(read_json_requests(out, item, BatchKind::facebook));
  }
  return {};
}

// A field called "batch" that holds a JSON array of requests.
Result<void> read_facebook(HiddenRequests& out, std::string_view name, std::string_view value) {
  if (!equals_ignoring_case(name, "batch") || value.find('[') == std::string_view::npos) return {};
  STOCKADE_ASSIGN(const JsonValue list, parse_strict_json(value));
  return list.is(JsonKind::array) ? read_json_requests(out, list, BatchKind::facebook) : Result<void>();
}

Result<void> read_form(HiddenRequests& out, std::string_view text, OverridePlace place) {
  STOCKADE_TRY(add_fields(out.overrides, text, place));
  STOCKADE_ASSIGN(const auto fields, parse_urlencoded(text));
  for (const FormField& field : fields) STOCKADE_TRY(read_facebook(out, field.name, field.value));
  return {};
}

Result<void> read_form_parts(HiddenRequests& out, std::string_view body, std::string_view boundary) {
  STOCKADE_ASSIGN(const auto parts, parse_multipart(body, boundary));
  for (const Part& part : parts) {
    const std::string name = part.name();
    if (const auto kind = kind_of_field(name)) {
      if (part.content.size() > kHeadLimit) return refuse("an override that is too long");
      STOCKADE_TRY(add(out.overrides, {*kind, OverridePlace::form, name, std::string(part.content)}));
    }
    STOCKADE_TRY(read_facebook(out, name, part.content));
  }
  return {};
}

}  // namespace

Result<std::vector<Override>> find_overrides(const RequestHead& head) {
  std::vector<Override> out;
  STOCKADE_TRY(add_headers(out, head.fields));
  if (head.query) STOCKADE_TRY(add_fields(out, *head.query, OverridePlace::query));
  return out;
}

Result<HiddenRequests> find_hidden_requests(const RequestHead& head, std::string_view body) {
  if (body.size() > kBatchBodyLimit) return refuse("a body that is too long to be searched for requests");
  HiddenRequests out;
  STOCKADE_ASSIGN(out.overrides, find_overrides(head));
  if (head.query) {
    STOCKADE_ASSIGN(const auto fields, parse_urlencoded(*head.query));
    for (const FormField& field : fields) STOCKADE_TRY(read_facebook(out, field.name, field.value));
  }
  if (body.empty()) return out;
  if (count_fields(head.fields, "content-type") > 1) return refuse("a request with two content types");
  const HttpField* field = find_field(head.fields, "content-type");
  STOCKADE_ASSIGN(const MediaType type, parse_media_type(field == nullptr ? "" : field->value));
  if (type.type == "multipart/mixed") {
    STOCKADE_TRY(read_batch_parts(out, body, type.parameter("boundary"), 0));
  } else if (type.type == "multipart/form-data") {
    STOCKADE_TRY(read_form_parts(out, body, type.parameter("boundary")));
  } else if (type.type == "application/x-www-form-urlencoded") {
    STOCKADE_TRY(read_form(out, body, OverridePlace::form));
  } else if (type.is_json() || (type.type.empty() && (body[0] == '{' || body[0] == '['))) {
    STOCKADE_TRY(read_json_body(out, body));
  }
  return out;
}

}  // namespace stockade::net
