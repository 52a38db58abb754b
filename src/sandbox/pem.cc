#include "sandbox/pem.h"

#include <array>
#include <cstdint>
#include <optional>

namespace stockade::sandbox {

namespace {

constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----";
constexpr std::string_view kEnd = "-----END CERTIFICATE-----";
constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr auto kValues = [] {
  std::array<int8_t, 256> values;
  values.fill(-1);
  for (size_t i = 0; i < kAlphabet.size(); ++i) values[static_cast<uint8_t>(kAlphabet[i])] = static_cast<int8_t>(i);
  return values;
}();

std::optional<std::string> decode_base64(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size() * 3 / 4);
  uint32_t bits = 0;
  int held = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n' || text[i] == '\r' || text[i] == ' ' || text[i] == '\t') continue;
    if (text[i] == '=')
      return text.find_first_not_of("=\r\n \t", i) == std::string_view::npos ? std::optional(bytes) : std::nullopt;
    const int value = kValues[static_cast<uint8_t>(text[i])];
    if (value < 0) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(value);
    held += 6;
    if (held < 8) continue;
    held -= 8;
    bytes += static_cast<char>(bits >> held);
  }
  return bytes;
}

}  // namespace

std::vector<std::string> certificates_in(std::string_view pem) {
  std::vector<std::string> certificates;
  while (true) {
    const size_t begin = pem.find(kBegin);
    const size_t end = begin == std::string_view::npos ? begin : pem.find(kEnd, begin);
    if (end == std::string_view::npos) return certificates;
    auto bytes = decode_base64(pem.substr(begin + kBegin.size(), end - begin - kBegin.size()));
    if (bytes && !bytes->empty()) certificates.push_back(std::move(*bytes));
    pem.remove_prefix(end + kEnd.size());
  }
}

}  // namespace stockade::sandbox
