#include "net/startup_lines.h"

#include <algorithm>

#include "net/http_field.h"

namespace stockade::net {

namespace {

constexpr size_t kBase64Limit = 16 * 1024;

int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  if (c == '/') return 63;
  return -1;
}

// "n,a=authzid,n=user,r=nonce": the attribute that begins with `name` and ends at `end`.
std::string attribute(std::string_view text, std::string_view name, char end) {
  const auto at = text.find(name);
  if (at == std::string_view::npos) return {};
  text.remove_prefix(at + name.size());
  return std::string(text.substr(0, text.find(end)));
}

}  // namespace

StartupLine cut_line(std::string_view bytes, size_t limit) {
  const auto malformed = [](std::string_view problem) {
    return StartupLine{.state = LineState::malformed, .problem = problem};
  };
  const auto window = bytes.substr(0, limit);
  for (size_t i = 0; i < window.size(); ++i) {
    if (window[i] == '\0') return malformed("a line with a zero byte");
    if (window[i] == '\n') return malformed("a line that ends with a bare LF");
    if (window[i] != '\r') continue;
    if (i + 1 == window.size()) break;
    if (window[i + 1] != '\n') return malformed("a bare CR in a line");
    return {LineState::line, window.substr(0, i), i + 2, {}};
  }
  if (bytes.size() >= limit) return malformed("a line that is too long");
  return {};
}

FirstWord split_word(std::string_view text) {
  const auto space = text.find(' ');
  if (space == std::string_view::npos) return {text, {}};
  return {text.substr(0, space), text.substr(space + 1)};
}

std::optional<ReplyLine> parse_reply_line(std::string_view line) {
  if (line.size() < 3 || line[0] < '1' || line[0] > '6') return std::nullopt;
  ReplyLine reply;
  for (const char c : line.substr(0, 3)) {
    if (c < '0' || c > '9') return std::nullopt;
    reply.code = reply.code * 10 + (c - '0');
  }
  if (line.size() == 3) return reply;
  if (line[3] != ' ' && line[3] != '-') return std::nullopt;
  reply.last = line[3] == ' ';
  reply.text = line.substr(4);
  return reply;
}

std::optional<std::string> decode_base64(std::string_view text) {
  if (text.size() % 4 != 0 || text.size() > kBase64Limit) return std::nullopt;
  std::string out;
  uint32_t bits = 0;
  size_t count = 0;
  size_t padding = 0;
  for (const char c : text) {
    if (c == '=') {
      if (++padding > 2) return std::nullopt;
      continue;
    }
    const int value = base64_value(c);
    if (value < 0 || padding > 0) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(value);
    if (++count % 4 == 0) {
      out.push_back(static_cast<char>(bits >> 16));
      out.push_back(static_cast<char>(bits >> 8));
      out.push_back(static_cast<char>(bits));
    }
  }
  if (padding == 1) {
    out.push_back(static_cast<char>(bits >> 10));
    out.push_back(static_cast<char>(bits >> 2));
  } else if (padding == 2) {
    out.push_back(static_cast<char>(bits >> 4));
  }
  return out;
}

std::string sasl_user(std::string_view mechanism, std::string_view response) {
  const std::string name = lower_case(mechanism);
  if (name == "plain") {  // authzid NUL authcid NUL password
    const auto first = response.find('\0');
    if (first == std::string_view::npos) return {};
    const auto second = response.find('\0', first + 1);
    if (second == std::string_view::npos) return {};
    return std::string(response.substr(first + 1, second - first - 1));
  }
  if (name == "login" || name == "external" || name == "anonymous") return std::string(response);
  if (name.starts_with("scram-")) return attribute(response, ",n=", ',');
  if (name == "xoauth2") return response.starts_with("user=") ? attribute(response, "user=", '\1') : std::string();
  if (name == "oauthbearer") return attribute(response.substr(0, response.find('\1')), ",a=", ',');
  return {};
}

}  // namespace stockade::net
