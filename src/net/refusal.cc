#include "net/refusal.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "base/printable.h"

namespace stockade::net {

namespace {

constexpr size_t kParameterLimit = 200;

std::string_view phrase(RefusalStatus status) {
  switch (status) {
    case RefusalStatus::forbidden:
      return "Forbidden";
    case RefusalStatus::bad_request:
      return "Bad Request";
    case RefusalStatus::bad_gateway:
      return "Bad Gateway";
    case RefusalStatus::gateway_timeout:
      return "Gateway Timeout";
    case RefusalStatus::loop_detected:
      return "Loop Detected";
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

void append_unit(std::string& out, uint32_t unit) { fmt::format_to(std::back_inserter(out), "\\u{:04x}", unit); }

}  // namespace

std::string json_escaped(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const CodePoint decoded = decode_utf8(text);
    const uint32_t point = decoded.length == 0 ? 0xfffd : decoded.value;
    text.remove_prefix(std::max<size_t>(decoded.length, 1));
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

RefusalResponse refusal_response(const Refusal& refusal) {
  RefusalResponse response;
  response.body = R"({"error": {"type": "stockade_blocked")";
  for (const auto& [key, value] : {std::pair<std::string_view, const std::string&>{"message", refusal.message},
                                   {"reason", refusal.reason},
                                   {"rule", refusal.rule},
                                   {"event", refusal.event},
                                   {"hint", refusal.hint}})
    fmt::format_to(std::back_inserter(response.body), R"(, "{}": "{}")", key, json_escaped(value));
  response.body += "}}\n";

  std::string decision = parameter(refusal.decision);
  if (!refusal.rule.empty()) decision += "; rule=" + parameter(refusal.rule);
  if (!refusal.event.empty()) decision += "; event=" + parameter(refusal.event);
  response.head.status = static_cast<int>(refusal.status);
  response.head.reason = phrase(refusal.status);
  response.head.fields = {{"content-type", "application/json"},
                          {"content-length", fmt::format("{}", response.body.size())},
                          {"stockade-decision", decision},
                          {"cache-control", "no-store"},
                          {"connection", "close"}};
  response.head.body = {BodyKind::length, response.body.size()};
  response.head.keep_alive = false;
  return response;
}

std::string http_refusal(const Refusal& refusal, bool with_body) {
  const RefusalResponse response = refusal_response(refusal);
  return write_response_head(response.head) + (with_body ? response.body : std::string());
}

}  // namespace stockade::net
