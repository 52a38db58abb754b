#include "net/http2_head.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>

namespace stockade::net {

namespace {

constexpr size_t kMethodLimit = 24;

std::unexpected<Error> refuse(std::string_view reason) { return fail(ErrorKind::protocol, "{}", reason); }

bool is_one_of(std::string_view name, std::span<const std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_space(char c) { return c == ' ' || c == '\t'; }

bool is_control(char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; }

bool is_path_byte(char c) { return c > ' ' && c <= '~' && c != '#'; }

Result<void> check_value(const HttpField& field) {
  if (std::any_of(field.value.begin(), field.value.end(), is_control))
    return refuse("a control character in a field's value");
  if (!field.value.empty() && (is_space(field.value.front()) || is_space(field.value.back())))
    return refuse("white space around a field's value");
  return {};
}

// RFC 9113, 8.2: what holds for each field of heads and trailers alike. The name is named only once it is a token.
Result<void> check_field(const HttpField& field) {
  if (!is_token(field.name)) return refuse("a field name that is not a token");
  if (std::any_of(field.name.begin(), field.name.end(), [](char c) { return c >= 'A' && c <= 'Z'; }))
    return fail(ErrorKind::protocol, "field name {} with an upper-case letter", field.name);
  STOCKADE_TRY(check_value(field));
  if (is_connection_field(field.name))
    return fail(ErrorKind::protocol, "field {}, which is about a connection, in HTTP/2", field.name);
  if (field.name == "te" && field.value != "trailers") return refuse("a TE other than \"trailers\" in HTTP/2");
  if (is_framing_field(field.name) && field.name != "host" && field.name != "content-length")
    return fail(ErrorKind::protocol, "field {} can be mistaken for one that frames a message", field.name);
  return {};
}

Result<std::optional<uint64_t>> read_content_length(std::span<const HttpField> fields) {
  if (count_fields(fields, "content-length") > 1) return refuse("more than one Content-Length");
  const HttpField* field = find_field(fields, "content-length");
  if (field == nullptr) return std::optional<uint64_t>();
  const std::string_view text = field->value;
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool padded = text.size() > 1 && text[0] == '0';
  if (text.empty() || padded || error != std::errc() || end != text.data() + text.size() || value > INT64_MAX)
    return refuse("a Content-Length that is not one plain number");
  return std::optional<uint64_t>(value);
}

// Takes the pseudo-fields, which `names` lists, off the front; each of them at most once, and none later.
template <size_t N>
Result<std::array<std::optional<std::string>, N>> take_pseudo_fields(std::vector<HttpField>& fields,
                                                                     const std::array<std::string_view, N>& names) {
  std::array<std::optional<std::string>, N> values;
  size_t count = 0;
  for (; count < fields.size() && fields[count].name.starts_with(':'); ++count) {
    const auto name = std::find(names.begin(), names.end(), fields[count].name);
    if (name == names.end()) return refuse("a pseudo-field that does not belong here");
    auto& value = values[static_cast<size_t>(name - names.begin())];
    if (value) return fail(ErrorKind::protocol, "more than one {}", *name);
    STOCKADE_TRY(check_value(fields[count]));
    value = std::move(fields[count].value);
  }
  fields.erase(fields.begin(), fields.begin() + static_cast<std::ptrdiff_t>(count));
  for (const HttpField& field : fields) {
    if (field.name.starts_with(':')) return refuse("a pseudo-field behind ordinary fields");
    STOCKADE_TRY(check_field(field));
  }
  return values;
}

bool same_authority(const Authority& a, const Authority& b, std::string_view scheme) {
  const uint16_t usual = scheme == "http" ? 80 : 443;
  return a.host == b.host && a.port.value_or(usual) == b.port.value_or(usual);
}

Result<void> read_authority(H2RequestHead& head, const std::optional<std::string>& authority) {
  if (count_fields(head.fields, "host") > 1) return refuse("more than one Host");
  const HttpField* host = find_field(head.fields, "host");
  if (!authority && host == nullptr) return refuse("a request with neither :authority nor Host");
  head.authority = authority ? *authority : host->value;
  STOCKADE_ASSIGN(const Authority named, parse_authority(head.authority));
  if (head.scheme.empty() && !named.port) return refuse("CONNECT without a port");
  if (host == nullptr) return {};
  STOCKADE_ASSIGN(const Authority repeated, parse_authority(host->value));
  // Clients leave the port out of CONNECT's Host.
  const bool same = head.scheme.empty() ? repeated.host == named.host && (!repeated.port || repeated.port == named.port)
                                        : same_authority(named, repeated, head.scheme);
  if (!same) return refuse("a Host that differs from :authority");
  return {};
}

Result<void> check_path(const H2RequestHead& head) {
  if (head.path == "*" && head.method == "OPTIONS") return {};
  if (!head.path.starts_with('/')) return refuse("a :path that does not begin with \"/\"");
  if (!std::all_of(head.path.begin(), head.path.end(), is_path_byte))
    return refuse("a :path with bytes that no URL has, or with a fragment");
  return {};
}

Result<void> check_connect(const H2RequestHead& head, bool has_path, const H2HeadRules& rules) {
  if (!head.protocol.empty()) {
    if (!rules.extended_connect) return refuse("an extended CONNECT that was not offered");
    if (head.protocol != "websocket") return refuse("an extended CONNECT to a protocol other than websocket");
    if (head.content_length) return refuse("a Content-Length in CONNECT");
    return {};
  }
  if (!rules.connect) return refuse("CONNECT to a server that is not a proxy");
  if (!head.scheme.empty() || has_path) return refuse("CONNECT with :scheme or :path");
  if (head.content_length) return refuse("a Content-Length in CONNECT");
  return {};
}

Result<void> read_expect(H2RequestHead& head) {
  const size_t count = count_fields(head.fields, "expect");
  if (count == 0) return {};
  if (count > 1 || !equals_ignoring_case(find_field(head.fields, "expect")->value, "100-continue"))
    return refuse("an Expect other than 100-continue");
  head.expects_continue = true;
  return {};
}

}  // namespace

bool is_connection_field(std::string_view name) {
  static constexpr std::string_view kNames[] = {"connection",       "http2-settings",    "keep-alive",
                                                "proxy-connection", "transfer-encoding", "upgrade"};
  return is_one_of(name, kNames);
}

bool is_forbidden_in_trailers(std::string_view name) {
  static constexpr std::string_view kNames[] = {
      "authorization", "connection", "content-encoding", "content-range", "content-type", "cookie", "expect",
      "set-cookie",    "te",         "trailer",          "upgrade"};
  return is_one_of(name, kNames) || is_framing_field(name);
}

Result<H2RequestHead> parse_h2_request(std::vector<HttpField> fields, const H2HeadRules& rules) {
  static constexpr std::array<std::string_view, 5> kPseudoFields = {":method", ":scheme", ":authority", ":path",
                                                                    ":protocol"};
  STOCKADE_ASSIGN(auto pseudo, take_pseudo_fields(fields, kPseudoFields));
  auto& [method, scheme, authority, path, protocol] = pseudo;
  H2RequestHead head;
  head.fields = std::move(fields);
  if (!method) return refuse("a request without :method");
  head.method = std::move(*method);
  if (!is_token(head.method) || head.method.size() > kMethodLimit) return refuse("a method that is not a token");
  if (protocol && protocol->empty()) return refuse("an empty :protocol");
  head.protocol = protocol.value_or("");
  STOCKADE_ASSIGN(head.content_length, read_content_length(head.fields));

  const bool connect = head.method == "CONNECT";
  if (!connect && protocol) return refuse(":protocol in a method other than CONNECT");
  head.scheme = scheme.value_or("");
  if (connect) STOCKADE_TRY(check_connect(head, path.has_value(), rules));
  if (!connect || protocol) {
    if (head.scheme != "http" && head.scheme != "https") return refuse("a :scheme other than http and https");
    if (!rules.scheme.empty() && head.scheme != rules.scheme)
      return fail(ErrorKind::protocol, "a :scheme other than {} on this connection", rules.scheme);
    if (!path) return refuse("a request without :path");
    head.path = std::move(*path);
    STOCKADE_TRY(check_path(head));
  }
  if (connect && !authority) return refuse("CONNECT without :authority");
  STOCKADE_TRY(read_authority(head, authority));
  if (head.method == "TRACE" && head.content_length.value_or(0) > 0) return refuse("a body in TRACE");
  STOCKADE_TRY(read_expect(head));
  return head;
}

Result<H2ResponseHead> parse_h2_response(std::vector<HttpField> fields) {
  static constexpr std::array<std::string_view, 1> kPseudoFields = {":status"};
  STOCKADE_ASSIGN(auto pseudo, take_pseudo_fields(fields, kPseudoFields));
  if (!pseudo[0]) return refuse("a response without :status");
  const std::string& text = *pseudo[0];
  if (text.size() != 3 || !std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; }))
    return refuse("a :status that is not three digits");
  H2ResponseHead head;
  head.status = (text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0');
  if (head.status < 100 || head.status > 599) return refuse("a status outside of 100 to 599");
  if (head.status == 101) return refuse("status 101 in HTTP/2");
  head.fields = std::move(fields);
  STOCKADE_ASSIGN(head.content_length, read_content_length(head.fields));
  if ((head.interim() || head.status == 204) && head.content_length)
    return refuse("a Content-Length in a response that has no body");
  if (count_fields(head.fields, "host") > 0) return refuse("Host in a response");
  return head;
}

Result<void> check_h2_trailers(std::span<const HttpField> fields) {
  for (const HttpField& field : fields) {
    if (field.name.starts_with(':')) return refuse("a pseudo-field in a trailer");
    STOCKADE_TRY(check_field(field));
    if (is_forbidden_in_trailers(field.name)) return fail(ErrorKind::protocol, "{} in a trailer", field.name);
  }
  return {};
}

Result<std::vector<HttpField>> write_h2_request(const H2RequestHead& head, const H2HeadRules& rules) {
  std::vector<HttpField> fields;
  fields.reserve(head.fields.size() + 5);
  fields.push_back({":method", head.method});
  if (!head.protocol.empty()) fields.push_back({":protocol", head.protocol});
  if (!head.scheme.empty()) fields.push_back({":scheme", head.scheme});
  fields.push_back({":authority", head.authority});
  if (!head.path.empty()) fields.push_back({":path", head.path});
  fields.insert(fields.end(), head.fields.begin(), head.fields.end());
  STOCKADE_TRY(parse_h2_request(fields, rules));
  return fields;
}

Result<std::vector<HttpField>> write_h2_response(const H2ResponseHead& head) {
  std::vector<HttpField> fields;
  fields.reserve(head.fields.size() + 1);
  fields.push_back({":status", std::to_string(head.status)});
  fields.insert(fields.end(), head.fields.begin(), head.fields.end());
  STOCKADE_TRY(parse_h2_response(fields));
  return fields;
}

}  // namespace stockade::net
