#include "net/refusal.h"

#include <fmt/format.h>

#include <cstdint>
#include <utility>

namespace stockade::net {

namespace {

constexpr size_t kParameterLimit = 200;

std::string_view phrase(RefusalStatus status) {
  switch (status) {
    case RefusalStatus::forbidden: return "Forbidden";
    case RefusalStatus::bad_request: return "Bad Request";
    case RefusalStatus::bad_gateway: return "Bad Gateway";
    case RefusalStatus::gateway_timeout: return "Gateway Timeout";
    case RefusalStatus::loop_detected: return "Loop Detected";
  }
  return "Forbidden";
}

// Visible ASCII without what separates parameters; the rest percent-encoded, and cut.
std::string parameter(std::string_view text) {
  std::string out;
  for (char c : text.substr(0, kParameterLimit)) {
    if (c > ' ' && c < 0x7f && c != ';' && c != '%' && c != '"' && c != ',') {
      out.push_back(c);
    } else {
      fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<uint8_t>(c));
    }
  }
  return out;
}

// One code point of well-formed UTF-8 and its length; {0xfffd, 1} for anything else.
std::pair<uint32_t, size_t> code_point(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const size_t size = lead >= 0xc2 && lead <= 0xdf ? 2 : (lead & 0xf0) == 0xe0 ? 3 : lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
  if (size == 0 || text.size() < size) return {0xfffd, 1};
  uint32_t point = lead & (0x7f >> size);
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {0xfffd, 1};
    point = point << 6 | (byte(i) & 0x3f);
  }
  const bool overlong = (size == 3 && point < 0x800) || (size == 4 && point < 0x10000);
  if (overlong || (point >= 0xd800 && point <= 0xdfff) || point > 0x10ffff) return {0xfffd, 1};
  return {point, size};
}

void append_unit(std::string& out, uint32_t unit) { fmt::format_to(std::back_inserter(out), "\\u{:04x}", unit); }

}  // namespace

std::string json_escaped(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto [point, size] = code_point(text);
    text.remove_prefix(size);
    if (point == '"' || point == '\\') {
      out.push_back('\\');
      out.push_back(static_cast<char>(point));
    } else if (point >= 0x20 && point < 0x7f) {
      out.push_back(static_cast<char>(point));
    } else if (point >= 0x10000) {
      append_unit(out, 0xd800 + ((point - 0x10000) >> 10));
      append_unit(out, 0xdc00 + ((point - 0x10000) & 0x3ff));
    } else {
      append_unit(out, point);
    }
  }
  return out;
}

std::string http_refusal(const Refusal& refusal, bool with_body) {
  std::string body = R"({"error": {"type": "stockade_blocked")";
  for (const auto& [key, value] : {std::pair<std::string_view, const std::string&>{"message", refusal.message},
                                   {"reason", refusal.reason},
                                   {"rule", refusal.rule},
                                   {"event", refusal.event},
                                   {"hint", refusal.hint}})
    fmt::format_to(std::back_inserter(body), R"(, "{}": "{}")", key, json_escaped(value));
  body += "}}\n";

  std::string decision = parameter(refusal.decision);
  if (!refusal.rule.empty()) decision += "; rule=" + parameter(refusal.rule);
  if (!refusal.event.empty()) decision += "; event=" + parameter(refusal.event);
  return fmt::format(
      "HTTP/1.1 {} {}\r\n"
      "content-type: application/json\r\n"
      "content-length: {}\r\n"
      "stockade-decision: {}\r\n"
      "cache-control: no-store\r\n"
      "connection: close\r\n"
      "\r\n{}",
      static_cast<int>(refusal.status), phrase(refusal.status), body.size(), decision, with_body ? body : "");
}

}  // namespace stockade::net
