#include "net/http2_convert.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace stockade::net {

namespace {

// About the connection to us, not to the next server (RFC 9110, section 7.6.1; the proxy fields are ours alone).
bool is_hop_by_hop(std::string_view name) {
  static constexpr std::string_view kNames[] = {"te", "proxy-authorization", "proxy-authenticate",
                                                "proxy-authentication-info"};
  return is_connection_field(name) || std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

std::vector<HttpField> end_to_end(const std::vector<HttpField>& fields) {
  std::vector<HttpField> kept;
  kept.reserve(fields.size());
  for (const HttpField& field : fields) {
    std::string name = lower_case(field.name);
    if (is_hop_by_hop(name) || name == "host" || has_list_token(fields, "connection", name)) continue;
    kept.push_back({std::move(name), field.value});
  }
  return kept;
}

std::string authority_of(const RequestHead& head, std::string_view scheme) {
  const bool six = head.host.find(':') != std::string::npos;
  std::string out = six ? "[" + head.host + "]" : head.host;
  const uint16_t usual = scheme == "http" ? 80 : scheme == "https" ? 443 : 0;
  if (head.port && *head.port != usual) out += ":" + std::to_string(*head.port);
  return out;
}

// The number that was judged to be one when the head was read.
std::optional<uint64_t> declared_length(const BodyFraming& body, const std::vector<HttpField>& fields) {
  if (body.kind == BodyKind::length) return body.length;
  const HttpField* field = find_field(fields, "content-length");
  if (field == nullptr) return std::nullopt;
  uint64_t value = 0;
  std::from_chars(field->value.data(), field->value.data() + field->value.size(), value);
  return value;
}

// As they stand in HTTP/1: crumbs of Cookie joined (RFC 9113, section 8.2.3), all else in its order.
void append_fields(std::string& text, const std::vector<HttpField>& fields) {
  std::string cookie;
  for (const HttpField& field : fields) {
    if (field.name == "cookie") {
      cookie.append(cookie.empty() ? "" : "; ").append(field.value);
      continue;
    }
    if (is_hop_by_hop(field.name) || field.name == "host") continue;
    text.append(field.name).append(": ").append(field.value).append("\r\n");
  }
  if (!cookie.empty()) text.append("cookie: ").append(cookie).append("\r\n");
}

bool has_te_trailers(const std::vector<HttpField>& fields) { return has_list_token(fields, "te", "trailers"); }

H2HeadRules rules_for(std::string_view scheme) {
  return {.scheme = std::string(scheme), .connect = true, .extended_connect = true};
}

std::unexpected<Error> refuse(std::string_view reason) { return fail(ErrorKind::protocol, "{}", reason); }

}  // namespace

// ---- requests

Result<H2RequestHead> to_h2(const RequestHead& head, std::string_view scheme) {
  if (!head.upgrade.empty()) return refuse("an upgrade, which HTTP/2 does not have");
  H2RequestHead out;
  out.method = head.method;
  out.fields = end_to_end(head.fields);
  if (has_te_trailers(head.fields)) out.fields.push_back({"te", "trailers"});
  out.content_length = declared_length(head.body, out.fields);
  out.expects_continue = head.expects_continue;
  if (head.form == TargetForm::authority) {
    out.authority = authority_of(head, "");
  } else {
    out.scheme = scheme;
    out.authority = authority_of(head, scheme);
    out.path = head.path;
    if (head.query) out.path.append("?").append(*head.query);
  }
  STOCKADE_TRY(write_h2_request(out, rules_for(out.scheme)));
  return out;
}

Result<RequestHead> to_h1(const H2RequestHead& head, bool ends) {
  if (!head.protocol.empty()) return refuse("an extended CONNECT, which HTTP/1 does not have");
  STOCKADE_TRY(write_h2_request(head, rules_for(head.scheme)));
  const bool connect = head.method == "CONNECT";
  if (ends && head.content_length.value_or(0) > 0) return refuse("a Content-Length without a body");
  std::string text =
      head.method + " " + (connect ? head.authority : head.path) + " HTTP/1.1\r\nhost: " + head.authority + "\r\n";
  append_fields(text, head.fields);
  if (has_te_trailers(head.fields)) text += "te: trailers\r\nconnection: te\r\n";
  const bool usually_has_body = head.method == "POST" || head.method == "PUT" || head.method == "PATCH";
  if (!head.content_length && !connect) {
    if (!ends) {
      text += "transfer-encoding: chunked\r\n";
    } else if (usually_has_body) {
      text += "content-length: 0\r\n";
    }
  }
  text += "\r\n";
  STOCKADE_ASSIGN(RequestHead out, parse_request_head(text, connect ? RequestPlace::proxy : RequestPlace::origin));
  const std::string_view target = connect ? head.authority : head.path;
  if (out.method != head.method || out.target != target) return refuse("a head that HTTP/1 reads differently");
  return out;
}

// ---- responses

Result<H2ResponseHead> to_h2(const ResponseHead& head) {
  if (head.status == 101) return refuse("status 101, which HTTP/2 does not have");
  H2ResponseHead out;
  out.status = head.status;
  out.fields = end_to_end(head.fields);
  // HTTP/1 servers say "Content-Length: 0" where there is no body to count; HTTP/2 readers refuse it.
  if (out.interim() || out.status == 204 || head.switching)
    std::erase_if(out.fields, [](const HttpField& field) { return field.name == "content-length"; });
  out.content_length = declared_length(head.body, out.fields);
  STOCKADE_TRY(write_h2_response(out));
  return out;
}

Result<ResponseHead> to_h1(const H2ResponseHead& head, std::string_view request_method, bool ends, int minor_version) {
  STOCKADE_TRY(write_h2_response(head));
  const bool bodiless = head.interim() || head.status == 204 || head.status == 304 || request_method == "HEAD" ||
                        (request_method == "CONNECT" && head.status / 100 == 2);
  if (head.interim() && minor_version == 0) return refuse("an interim response to an HTTP/1.0 client");
  if (ends && !bodiless && head.content_length.value_or(0) > 0) return refuse("a Content-Length without a body");
  std::string text = (minor_version == 0 ? "HTTP/1.0 " : "HTTP/1.1 ") + std::to_string(head.status) + " " +
                     std::string(reason_phrase(head.status)) + "\r\n";
  append_fields(text, head.fields);
  if (!head.content_length && !bodiless) {
    if (ends) {
      text += "content-length: 0\r\n";
    } else {
      text += minor_version == 0 ? "connection: close\r\n" : "transfer-encoding: chunked\r\n";
    }
  }
  text += "\r\n";
  return parse_response_head(text, request_method);
}

std::vector<HttpField> trailers_to_h2(const std::vector<HttpField>& fields) {
  auto kept = end_to_end(fields);
  std::erase_if(kept, [](const HttpField& field) { return is_forbidden_in_trailers(field.name); });
  return kept;
}

// ---- WebSocket

Result<H2RequestHead> websocket_to_h2(const RequestHead& head, std::string_view scheme, const WebSocketOffer& offer,
                                      const std::optional<WebSocketDeflateParameters>& deflate) {
  if (!asks_for_websocket(head)) return refuse("a request that does not ask for a WebSocket");
  RequestHead plain = head;
  plain.upgrade.clear();
  plain.fields = without_websocket_fields(head.fields);
  STOCKADE_ASSIGN(H2RequestHead out, to_h2(plain, scheme));
  out.method = "CONNECT";
  out.protocol = "websocket";
  out.content_length.reset();
  std::erase_if(out.fields, [](const HttpField& field) { return field.name == "content-length"; });
  WebSocketOffer keyless = offer;
  keyless.key.clear();
  for (HttpField& field : websocket_offer_fields(keyless, deflate)) out.fields.push_back(std::move(field));
  STOCKADE_TRY(write_h2_request(out, rules_for(scheme)));
  return out;
}

Result<RequestHead> websocket_to_h1(const H2RequestHead& head, const WebSocketOffer& offer,
                                    const std::optional<WebSocketDeflateParameters>& deflate) {
  if (!asks_for_websocket(head)) return refuse("a request that does not ask for a WebSocket");
  STOCKADE_TRY(write_h2_request(head, rules_for(head.scheme)));
  std::string text = "GET " + head.path + " HTTP/1.1\r\nhost: " + head.authority + "\r\n";
  append_fields(text, without_websocket_fields(head.fields));
  for (const HttpField& field : websocket_offer_fields(offer, deflate))
    text.append(field.name).append(": ").append(field.value).append("\r\n");
  text += "\r\n";
  STOCKADE_ASSIGN(RequestHead out, parse_request_head(text, RequestPlace::origin));
  STOCKADE_TRY(read_websocket_offer(out));
  if (out.target != head.path) return refuse("a head that HTTP/1 reads differently");
  return out;
}

Result<H2ResponseHead> websocket_answer_to_h2(const ResponseHead& head, const WebSocketAgreement& agreement) {
  if (head.status != 101) return refuse("a response that does not switch to WebSocket");
  H2ResponseHead out{.status = 200, .fields = end_to_end(without_websocket_fields(head.fields)), .content_length = {}};
  std::erase_if(out.fields, [](const HttpField& field) { return field.name == "content-length"; });
  for (HttpField& field : websocket_answer_fields(agreement, "")) out.fields.push_back(std::move(field));
  STOCKADE_TRY(write_h2_response(out));
  return out;
}

Result<ResponseHead> websocket_answer_to_h1(const H2ResponseHead& head, const WebSocketAgreement& agreement,
                                            std::string_view key) {
  if (head.status / 100 != 2) return refuse("a response that does not switch to WebSocket");
  STOCKADE_TRY(write_h2_response(head));
  auto kept = without_websocket_fields(head.fields);
  std::erase_if(kept, [](const HttpField& field) { return field.name == "content-length"; });
  std::string text = "HTTP/1.1 101 Switching Protocols\r\n";
  append_fields(text, kept);
  for (const HttpField& field : websocket_answer_fields(agreement, key))
    text.append(field.name).append(": ").append(field.value).append("\r\n");
  text += "\r\n";
  return parse_response_head(text, "GET");
}

std::string_view reason_phrase(int status) {
  struct Phrase {
    int status;
    std::string_view text;
  };
  // IANA's registry.
  static constexpr std::array kPhrases = std::to_array<Phrase>({{100, "Continue"},
                                                                {102, "Processing"},
                                                                {103, "Early Hints"},
                                                                {200, "OK"},
                                                                {201, "Created"},
                                                                {202, "Accepted"},
                                                                {203, "Non-Authoritative Information"},
                                                                {204, "No Content"},
                                                                {205, "Reset Content"},
                                                                {206, "Partial Content"},
                                                                {207, "Multi-Status"},
                                                                {208, "Already Reported"},
                                                                {226, "IM Used"},
                                                                {300, "Multiple Choices"},
                                                                {301, "Moved Permanently"},
                                                                {302, "Found"},
                                                                {303, "See Other"},
                                                                {304, "Not Modified"},
                                                                {307, "Temporary Redirect"},
                                                                {308, "Permanent Redirect"},
                                                                {400, "Bad Request"},
                                                                {401, "Unauthorized"},
                                                                {402, "Payment Required"},
                                                                {403, "Forbidden"},
                                                                {404, "Not Found"},
                                                                {405, "Method Not Allowed"},
                                                                {406, "Not Acceptable"},
                                                                {407, "Proxy Authentication Required"},
                                                                {408, "Request Timeout"},
                                                                {409, "Conflict"},
                                                                {410, "Gone"},
                                                                {411, "Length Required"},
                                                                {412, "Precondition Failed"},
                                                                {413, "Content Too Large"},
                                                                {414, "URI Too Long"},
                                                                {415, "Unsupported Media Type"},
                                                                {416, "Range Not Satisfiable"},
                                                                {417, "Expectation Failed"},
                                                                {421, "Misdirected Request"},
                                                                {422, "Unprocessable Content"},
                                                                {423, "Locked"},
                                                                {424, "Failed Dependency"},
                                                                {425, "Too Early"},
                                                                {426, "Upgrade Required"},
                                                                {428, "Precondition Required"},
                                                                {429, "Too Many Requests"},
                                                                {431, "Request Header Fields Too Large"},
                                                                {451, "Unavailable For Legal Reasons"},
                                                                {500, "Internal Server Error"},
                                                                {501, "Not Implemented"},
                                                                {502, "Bad Gateway"},
                                                                {503, "Service Unavailable"},
                                                                {504, "Gateway Timeout"},
                                                                {505, "HTTP Version Not Supported"},
                                                                {506, "Variant Also Negotiates"},
                                                                {507, "Insufficient Storage"},
                                                                {508, "Loop Detected"},
                                                                {511, "Network Authentication Required"}});
  const auto found =
      std::lower_bound(kPhrases.begin(), kPhrases.end(), status, [](const Phrase& p, int s) { return p.status < s; });
  return found != kPhrases.end() && found->status == status ? found->text : "Status";
}

}  // namespace stockade::net
