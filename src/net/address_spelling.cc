#include "net/address_spelling.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "base/printable.h"

namespace stockade::net {

namespace {

// Longer than the longest name, and than any spelling in three rounds of percent-encoding that names an address.
constexpr size_t kLongestSpelling = 1024;
constexpr int kPercentRounds = 4;

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && text.size() - i > 2 && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0) {
      out.push_back(static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2])));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

// What UTS #46 maps to the ASCII characters of an address; '\0' for what it drops, -1 for everything else.
int ascii_of(uint32_t p) {
  if (p < 0x80) return static_cast<int>(p);
  if (p >= 0xff01 && p <= 0xff5e) return static_cast<int>(p - 0xff01 + 0x21);  // full-width forms
  if (p == 0x3002 || p == 0xff61) return '.';                                  // ideographic full stops
  if (p == 0x00ad || (p >= 0x200b && p <= 0x200d) || p == 0x2060 || p == 0xfeff || (p >= 0xfe00 && p <= 0xfe0f))
    return 0;
  if (p == 0x00b2 || p == 0x00b3) return static_cast<int>(p - 0xb0 + '0');
  if (p == 0x00b9) return '1';
  if (p == 0x2070 || (p >= 0x2074 && p <= 0x2079)) return static_cast<int>(p - 0x2070 + '0');
  if (p >= 0x2080 && p <= 0x2089) return static_cast<int>(p - 0x2080 + '0');
  if (p == 0x24ea) return '0';
  if (p >= 0x2460 && p <= 0x2468) return static_cast<int>(p - 0x2460 + '1');  // circled digits
  if (p >= 0x24d0 && p <= 0x24d5) return static_cast<int>(p - 0x24d0 + 'a');  // circled a to f
  if (p == 0x24e7) return 'x';
  if (p >= 0x1d7ce && p <= 0x1d7ff) return static_cast<int>((p - 0x1d7ce) % 10 + '0');  // mathematical digits
  if (p >= 0x1fbf0 && p <= 0x1fbf9) return static_cast<int>(p - 0x1fbf0 + '0');         // segmented digits
  return -1;
}

std::optional<std::string> to_ascii(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const CodePoint point = decode_utf8(text);
    const int c = ascii_of(point.value);
    if (point.length == 0 || c < 0) return std::nullopt;
    text.remove_prefix(point.length);
    if (c > 0) out.push_back(static_cast<char>(c));
  }
  return out;
}

struct Number {
  bool valid = false;
  uint64_t value = 0;
};

Number parse_part(std::string_view part) {
  if (part.empty()) return {};
  unsigned base = 10;
  if (part.size() >= 2 && part[0] == '0' && (part[1] == 'x' || part[1] == 'X')) {
    base = 16;
    part.remove_prefix(2);  // "0x" alone is zero, as browsers have it
  } else if (part.size() >= 2 && part[0] == '0') {
    base = 8;
    part.remove_prefix(1);
  }
  uint64_t value = 0;
  for (char c : part) {
    const int digit = hex_value(c);
    if (digit < 0 || static_cast<unsigned>(digit) >= base) return {};
    value = value * base + static_cast<unsigned>(digit);
    if (value > 0xffffffffu) return {};
  }
  return {true, value};
}

std::vector<std::string_view> split_dots(std::string_view text) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto dot = text.find('.');
    parts.push_back(text.substr(0, dot));
    if (dot == std::string_view::npos) return parts;
    text.remove_prefix(dot + 1);
  }
}

std::optional<IpAddress> parse_v4(std::string_view text) {
  const auto parts = split_dots(text);
  if (parts.size() > 4) return std::nullopt;
  uint64_t address = 0;
  for (size_t i = 0; i + 1 < parts.size(); ++i) {
    const Number number = parse_part(parts[i]);
    if (!number.valid || number.value > 255) return std::nullopt;
    address |= number.value << (24 - 8 * i);
  }
  const Number last = parse_part(parts.back());
  const uint64_t room = uint64_t{1} << (8 * (5 - parts.size()));  // the last part fills what is left
  if (!last.valid || last.value >= room) return std::nullopt;
  return IpAddress::v4(static_cast<uint32_t>(address | last.value));
}

std::optional<IpAddress> parse_v6(std::string_view text) {
  if (const auto zone = text.find('%'); zone != std::string_view::npos) text = text.substr(0, zone);
  if (const auto plain = IpAddress::parse(text)) return plain->is_v6() ? plain : std::nullopt;
  // An IPv4 tail in a spelling that inet_pton refuses ("::ffff:0177.0.0.1").
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos || text.find('.', colon) == std::string_view::npos) return std::nullopt;
  const auto tail = parse_v4(text.substr(colon + 1));
  if (!tail) return std::nullopt;
  const auto whole = IpAddress::parse(std::string(text.substr(0, colon + 1)) + tail->to_string());
  return whole && whole->is_v6() ? whole : std::nullopt;
}

std::string_view stripped(std::string_view text) {
  static constexpr std::string_view kSpace = " \t\r\n\v\f";
  while (!text.empty() && kSpace.find(text.front()) != std::string_view::npos) text.remove_prefix(1);
  while (!text.empty() && kSpace.find(text.back()) != std::string_view::npos) text.remove_suffix(1);
  return text;
}

std::optional<IpAddress> parse_ascii(std::string_view text) {
  text = stripped(text);
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.size() >= 2 && text.front() == '[' && text.back() == ']') text = text.substr(1, text.size() - 2);
  if (text.empty()) return std::nullopt;
  return text.find(':') != std::string_view::npos ? parse_v6(text) : parse_v4(text);
}

}  // namespace

std::optional<IpAddress> spelled_address(std::string_view text) {
  if (text.empty() || text.size() > kLongestSpelling) return std::nullopt;
  std::string current(text);
  for (int round = 0; round < kPercentRounds; ++round) {
    if (const auto ascii = to_ascii(current)) {
      if (const auto address = parse_ascii(*ascii)) return address;
      current = *ascii;  // a full-width percent sign counts as one
    }
    const std::string decoded = percent_decoded(current);
    if (decoded == current) return std::nullopt;
    current = decoded;
  }
  return std::nullopt;
}

bool ends_in_number(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  const auto dot = text.rfind('.');
  const std::string_view last = dot == std::string_view::npos ? text : text.substr(dot + 1);
  if (last.empty()) return false;
  if (std::all_of(last.begin(), last.end(), [](char c) { return c >= '0' && c <= '9'; })) return true;
  return last.size() >= 2 && last[0] == '0' && (last[1] == 'x' || last[1] == 'X') &&
         std::all_of(last.begin() + 2, last.end(), [](char c) { return hex_value(c) >= 0; });
}

}  // namespace stockade::net
