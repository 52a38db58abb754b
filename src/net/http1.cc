#include "net/http1.h"

#include <algorithm>
#include <charconv>

#include "base/ip_address.h"
#include "net/http_second_reading.h"

namespace stockade::net {

namespace {

constexpr std::string_view kLineEnd = "\r\n";
constexpr size_t kMethodLimit = 24;

std::unexpected<Error> refuse(std::string_view reason) { return fail(ErrorKind::protocol, "{}", reason); }

struct Lines {
  std::string_view start;
  std::vector<HttpField> fields;
};

// The start line and the fields of a whole head, which ends with its empty line.
Result<Lines> split_head(std::string_view head) {
  if (head.size() > kHeadLimit) return refuse("a head longer than 64 KiB");
  if (!head.ends_with("\r\n\r\n")) return refuse("a head without its empty line");
  head.remove_suffix(kLineEnd.size());
  Lines lines;
  bool first = true;
  while (!head.empty()) {
    const auto end = head.find(kLineEnd);
    const auto line = head.substr(0, end);
    head.remove_prefix(end + kLineEnd.size());
    if (line.empty()) return refuse("an empty line inside or before a head");
    if (first) {
      lines.start = line;
      first = false;
      continue;
    }
    if (lines.fields.size() == kFieldCountLimit) return refuse("more than 128 header fields");
    STOCKADE_ASSIGN(HttpField field, parse_field_line(line));
    lines.fields.push_back(std::move(field));
  }
  return lines;
}

Result<int> parse_version(std::string_view text) {
  if (text == "HTTP/1.1") return 1;
  if (text == "HTTP/1.0") return 0;
  return refuse("a version other than HTTP/1.0 and HTTP/1.1");
}

Result<uint64_t> parse_content_length(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool padded = text.size() > 1 && text[0] == '0';
  if (text.empty() || padded || error != std::errc() || end != text.data() + text.size() || value > INT64_MAX)
    return refuse("a Content-Length that is not one plain number");
  return value;
}

// What Content-Length and Transfer-Encoding say; BodyKind::until_close when there is neither.
Result<BodyFraming> declared_framing(const std::vector<HttpField>& fields, int minor_version) {
  const size_t lengths = count_fields(fields, "content-length");
  const size_t codings = count_fields(fields, "transfer-encoding");
  if (lengths > 0 && codings > 0) return refuse("Content-Length beside Transfer-Encoding");
  if (lengths > 1) return refuse("more than one Content-Length");
  if (codings > 1) return refuse("more than one Transfer-Encoding");
  if (codings == 1) {
    if (minor_version == 0) return refuse("Transfer-Encoding in HTTP/1.0");
    if (find_field(fields, "transfer-encoding")->value != "chunked")
      return refuse("a Transfer-Encoding other than exactly \"chunked\"");
    return BodyFraming{BodyKind::chunked};
  }
  if (lengths == 1) {
    STOCKADE_ASSIGN(const uint64_t length, parse_content_length(find_field(fields, "content-length")->value));
    return BodyFraming{BodyKind::length, length};
  }
  return BodyFraming{BodyKind::until_close};
}

bool stays_open(const std::vector<HttpField>& fields, int minor_version) {
  if (has_list_token(fields, "connection", "close")) return false;
  return minor_version == 1 || has_list_token(fields, "connection", "keep-alive");
}

// Connection makes a proxy behind us drop the fields that it names: only those that are about the connection.
Result<void> check_connection_options(const std::vector<HttpField>& fields) {
  static constexpr std::string_view kHopByHop[] = {"connection",     "keep-alive",      "te", "upgrade", "trailer",
                                                   "http2-settings", "proxy-connection"};
  for (const HttpField& field : fields) {
    const bool hop = std::any_of(std::begin(kHopByHop), std::end(kHopByHop),
                                 [&](std::string_view name) { return equals_ignoring_case(field.name, name); });
    if (!hop && has_list_token(fields, "connection", field.name))
      return fail(ErrorKind::protocol, "a Connection field that asks to drop {}", field.name);
  }
  return {};
}

bool is_target_byte(char c) { return c > ' ' && c <= '~' && c != '#'; }

void split_query(std::string_view target, RequestHead& head) {
  const auto mark = target.find('?');
  head.path = target.substr(0, mark);
  if (mark != std::string_view::npos) head.query = std::string(target.substr(mark + 1));
}

Result<void> read_absolute_target(RequestHead& head) {
  constexpr std::string_view kScheme = "http://";
  if (!equals_ignoring_case(std::string_view(head.target).substr(0, kScheme.size()), kScheme))
    return refuse("a target that is neither a path nor an http:// URL");
  const auto rest = std::string_view(head.target).substr(kScheme.size());
  const auto end = rest.find_first_of("/?");
  STOCKADE_ASSIGN(Authority authority, parse_authority(rest.substr(0, end)));
  head.form = TargetForm::absolute;
  head.host = std::move(authority.host);
  head.port = authority.port;
  split_query(end == std::string_view::npos ? std::string_view() : rest.substr(end), head);
  if (head.path.empty() && head.method == "OPTIONS") return refuse("OPTIONS for a URL without a path");
  if (head.path.empty()) head.path = "/";
  return {};
}

Result<void> read_target(RequestHead& head, RequestPlace place) {
  if (head.target.empty() || !std::all_of(head.target.begin(), head.target.end(), is_target_byte))
    return refuse("a request target with bytes that no URL has, or with a fragment");
  if (head.method == "CONNECT") {
    if (place != RequestPlace::proxy) return refuse("CONNECT to a server that is not a proxy");
    STOCKADE_ASSIGN(Authority authority, parse_authority(head.target));
    if (!authority.port) return refuse("CONNECT without a port");
    head.form = TargetForm::authority;
    head.host = std::move(authority.host);
    head.port = authority.port;
    return {};
  }
  if (head.target == "*") {
    if (head.method != "OPTIONS") return refuse("\"*\" as the target of a method other than OPTIONS");
    if (place == RequestPlace::proxy) return refuse("a request to a proxy without an absolute URL");
    head.form = TargetForm::asterisk;
    head.path = "*";
    return {};
  }
  if (head.target[0] != '/') return read_absolute_target(head);
  if (place == RequestPlace::proxy) return refuse("a request to a proxy without an absolute URL");
  split_query(head.target, head);
  return {};
}

Result<void> read_host(RequestHead& head) {
  const size_t hosts = count_fields(head.fields, "host");
  if (hosts > 1) return refuse("more than one Host");
  const bool named = head.form == TargetForm::absolute || head.form == TargetForm::authority;
  if (hosts == 0) {
    if (named && head.minor_version == 0) return {};
    return refuse("a request without Host");
  }
  STOCKADE_ASSIGN(Authority host, parse_authority(find_field(head.fields, "host")->value));
  if (!named) {
    head.host = std::move(host.host);
    head.port = host.port;
    return {};
  }
  // Clients leave the port out of CONNECT's Host; http's default port may be said or not.
  const bool connect = head.form == TargetForm::authority;
  const bool same_port =
      connect ? !host.port || host.port == head.port : host.port.value_or(80) == head.port.value_or(80);
  if (host.host != head.host || !same_port) return refuse("a Host that differs from the request's URL");
  return {};
}

Result<void> read_request_body(RequestHead& head) {
  STOCKADE_ASSIGN(head.body, declared_framing(head.fields, head.minor_version));
  const bool declared = head.body.kind != BodyKind::until_close;
  if (!declared || head.body == BodyFraming{BodyKind::length, 0}) head.body = {};
  if (declared && (head.method == "CONNECT" || head.method == "TRACE"))
    return refuse("a body where the method has none");

  const size_t expects = count_fields(head.fields, "expect");
  if (expects > 1) return refuse("more than one Expect");
  if (expects == 1) {
    if (!equals_ignoring_case(find_field(head.fields, "expect")->value, "100-continue") || head.minor_version == 0)
      return refuse("an Expect other than 100-continue");
    head.expects_continue = true;
  }
  return {};
}

Result<void> read_upgrade(RequestHead& head) {
  const size_t upgrades = count_fields(head.fields, "upgrade");
  const bool named = has_list_token(head.fields, "connection", "upgrade");
  if (upgrades == 0 && !named) return {};
  if (upgrades != 1 || !named) return refuse("Upgrade and Connection that do not agree");
  if (head.body.kind != BodyKind::none || head.method == "CONNECT" || head.minor_version == 0)
    return refuse("an upgrade in a request that can't have one");
  head.upgrade = find_field(head.fields, "upgrade")->value;
  if (head.upgrade.empty()) return refuse("an empty Upgrade");
  return {};
}

void write_fields(std::string& out, const std::vector<HttpField>& fields) {
  for (const HttpField& field : fields) {
    if (equals_ignoring_case(field.name, "proxy-connection") || equals_ignoring_case(field.name, "keep-alive") ||
        equals_ignoring_case(field.name, "proxy-authorization"))
      continue;
    out.append(field.name).append(": ").append(field.value).append(kLineEnd);
  }
  out.append(kLineEnd);
}

}  // namespace

// ---- collecting
// -------------------------------------------------------------------------------------------------------

Result<size_t> HeadReader::feed(std::string_view bytes) {
  size_t taken = 0;
  while (taken < bytes.size() && !complete()) {
    if (head_.size() + taken == kHeadLimit) return refuse("a head longer than 64 KiB");
    STOCKADE_TRY(step(bytes[taken++]));
  }
  head_.append(bytes.substr(0, taken));
  return taken;
}

Result<void> HeadReader::step(char c) {
  if (state_ == State::line_cr || state_ == State::end_cr) {
    if (c != '\n') return refuse("a carriage return without a line feed");
    state_ = state_ == State::end_cr ? State::complete : State::line_start;
    if (++lines_ > kFieldCountLimit + 2) return refuse("more than 128 header fields");
    return {};
  }
  if (c == '\n') return refuse("a line feed without a carriage return");
  if (c == '\r') {
    if (state_ == State::line_start && lines_ == 0) return refuse("an empty line before the head");
    state_ = state_ == State::line_start ? State::end_cr : State::line_cr;
    return {};
  }
  if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f) return refuse("a control character in a head");
  state_ = State::in_line;
  return {};
}

std::string HeadReader::take() {
  state_ = State::line_start;
  lines_ = 0;
  return std::exchange(head_, {});
}

// ---- judging
// ----------------------------------------------------------------------------------------------------------

Result<Authority> parse_authority(std::string_view text) {
  constexpr std::string_view kNameBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
  Authority authority;
  std::string_view rest;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    const auto inner = close == std::string_view::npos ? std::string_view() : text.substr(1, close - 1);
    const auto address = IpAddress::parse(inner);
    if (!address || !address->is_v6()) return refuse("a host in brackets that is not an IPv6 address");
    authority.host = address->to_string();
    rest = text.substr(close + 1);
  } else {
    const auto end = text.find_first_not_of(kNameBytes);
    authority.host = lower_case(text.substr(0, end));
    rest = end == std::string_view::npos ? std::string_view() : text.substr(end);
    if (authority.host.empty() || authority.host.size() > 255) return refuse("a host that is empty or too long");
  }
  if (rest.empty()) return authority;
  if (rest[0] != ':') return refuse("a host with characters that no name has");
  rest.remove_prefix(1);
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), port);
  if (rest.empty() || rest[0] == '0' || error != std::errc() || end != rest.data() + rest.size())
    return refuse("a host with a malformed port");
  authority.port = port;
  return authority;
}

Result<RequestHead> parse_request_head(std::string_view text, RequestPlace place) {
  STOCKADE_ASSIGN(Lines lines, split_head(text));
  RequestHead head;
  const auto first = lines.start.find(' ');
  const auto second = first == std::string_view::npos ? first : lines.start.find(' ', first + 1);
  if (second == std::string_view::npos) return refuse("a request line that is not METHOD SP TARGET SP VERSION");
  head.method = lines.start.substr(0, first);
  head.target = lines.start.substr(first + 1, second - first - 1);
  if (!is_token(head.method) || head.method.size() > kMethodLimit) return refuse("a method that is not a token");
  STOCKADE_ASSIGN(head.minor_version, parse_version(lines.start.substr(second + 1)));
  head.fields = std::move(lines.fields);
  STOCKADE_TRY(read_target(head, place));
  STOCKADE_TRY(read_host(head));
  STOCKADE_TRY(read_request_body(head));
  STOCKADE_TRY(check_connection_options(head.fields));
  STOCKADE_TRY(read_upgrade(head));
  head.keep_alive = stays_open(head.fields, head.minor_version);
  STOCKADE_TRY(confirm_request(text, head));
  return head;
}

Result<ResponseHead> parse_response_head(std::string_view text, std::string_view request_method) {
  STOCKADE_ASSIGN(Lines lines, split_head(text));
  ResponseHead head;
  STOCKADE_ASSIGN(head.minor_version, parse_version(lines.start.substr(0, 8)));
  const auto rest = lines.start.substr(std::min<size_t>(lines.start.size(), 8));
  const auto is_digit = [&](size_t i) { return rest[i] >= '0' && rest[i] <= '9'; };
  if (rest.size() < 4 || rest[0] != ' ' || !is_digit(1) || !is_digit(2) || !is_digit(3) ||
      (rest.size() > 4 && rest[4] != ' '))
    return refuse("a malformed status line");
  head.status = (rest[1] - '0') * 100 + (rest[2] - '0') * 10 + (rest[3] - '0');
  if (head.status < 100 || head.status > 599) return refuse("a status outside of 100 to 599");
  if (rest.size() > 5) head.reason = rest.substr(5);
  if (std::any_of(head.reason.begin(), head.reason.end(),
                  [](char c) { return (c >= 0 && c < ' ' && c != '\t') || c == 0x7f; }))
    return refuse("a control character in the reason phrase");
  head.fields = std::move(lines.fields);
  STOCKADE_ASSIGN(head.body, declared_framing(head.fields, head.minor_version));
  head.keep_alive = stays_open(head.fields, head.minor_version);

  const bool declared = head.body.kind != BodyKind::until_close;
  const bool nothing = head.body == BodyFraming{BodyKind::length, 0};
  const bool informational = head.status < 200;
  if ((informational || head.status == 204) && declared && !nothing)
    return refuse("a body in a response that has none");
  head.switching = head.status == 101 || (request_method == "CONNECT" && head.status / 100 == 2);
  if (head.switching && declared && !nothing) return refuse("a body in a response that changes the protocol");
  head.interim = informational && !head.switching;
  if (head.status == 101) {
    if (count_fields(head.fields, "upgrade") != 1 || !has_list_token(head.fields, "connection", "upgrade"))
      return refuse("a 101 response whose Upgrade and Connection do not agree");
    head.upgrade = find_field(head.fields, "upgrade")->value;
  }
  if (informational || head.switching || head.status == 204 || head.status == 304 || request_method == "HEAD" ||
      nothing)
    head.body = {};
  if (head.body.kind == BodyKind::until_close) head.keep_alive = false;
  STOCKADE_TRY(confirm_response(text, head));
  return head;
}

// ---- writing
// ----------------------------------------------------------------------------------------------------------

std::string write_request_head(const RequestHead& head) {
  std::string out = head.method;
  out.push_back(' ');
  if (head.form == TargetForm::authority) {
    out += head.target;
  } else {
    out += head.path;
    if (head.query) out.append("?").append(*head.query);
  }
  out.append(head.minor_version == 1 ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n");
  // A 1.0 request to a proxy may name its host in the URL only; the server needs it as a field.
  if (head.form == TargetForm::absolute && count_fields(head.fields, "host") == 0) {
    const bool six = head.host.find(':') != std::string::npos;
    out.append("Host: ").append(six ? "[" : "").append(head.host).append(six ? "]" : "");
    if (head.port) out.append(":").append(std::to_string(*head.port));
    out.append(kLineEnd);
  }
  write_fields(out, head.fields);
  return out;
}

std::string write_response_head(const ResponseHead& head) {
  std::string out = head.minor_version == 1 ? "HTTP/1.1 " : "HTTP/1.0 ";
  out.append(std::to_string(head.status)).append(" ").append(head.reason).append(kLineEnd);
  write_fields(out, head.fields);
  return out;
}

}  // namespace stockade::net
