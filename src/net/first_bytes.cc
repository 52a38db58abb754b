#include "net/first_bytes.h"

#include <algorithm>

namespace stockade::net {

namespace {

constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
// A method of one to sixteen capital letters and hyphens, a space, and what begins a target.
constexpr size_t kMethodLimit = 16;

bool is_method_byte(char c) { return (c >= 'A' && c <= 'Z') || c == '-'; }

}  // namespace

FirstBytes classify_first_bytes(std::string_view bytes) {
  if (bytes.empty()) return FirstBytes::need_more;
  if (bytes[0] == 0x16) {
    if (bytes.size() < 2) return FirstBytes::need_more;
    return bytes[1] == 3 ? FirstBytes::tls : FirstBytes::other;
  }
  const size_t shared = std::min(bytes.size(), kHttp2Preface.size());
  if (bytes.substr(0, shared) == kHttp2Preface.substr(0, shared))
    return shared == kHttp2Preface.size() ? FirstBytes::http2 : FirstBytes::need_more;

  const auto space = std::find_if_not(bytes.begin(), bytes.end(), is_method_byte);
  const auto method = static_cast<size_t>(space - bytes.begin());
  if (method > kMethodLimit) return FirstBytes::other;
  if (space == bytes.end()) return FirstBytes::need_more;
  if (method == 0 || *space != ' ') return FirstBytes::other;
  if (method + 1 == bytes.size()) return FirstBytes::need_more;
  const char target = bytes[method + 1];
  return target > ' ' && target <= '~' ? FirstBytes::http1 : FirstBytes::other;
}

}  // namespace stockade::net
