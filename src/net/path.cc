#include "net/path.h"

#include <algorithm>
#include <array>

#include "base/printable.h"

namespace stockade::net {

namespace {

std::unexpected<Error> refuse(std::string_view reason) { return fail(ErrorKind::protocol, "a path with {}", reason); }

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<uint8_t> decode_at(std::string_view text, size_t at) {
  if (at >= text.size() || text[at] != '%' || text.size() - at < 3) return std::nullopt;
  const int high = hex_value(text[at + 1]);
  const int low = hex_value(text[at + 2]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<uint8_t>(high * 16 + low);
}

void append_encoded(std::string& out, uint8_t byte) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  out.push_back('%');
  out.push_back(kDigits[byte >> 4]);
  out.push_back(kDigits[byte & 0xf]);
}

// pchar of RFC 3986 without ";" and "%".
bool stands_for_itself(uint8_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-._~!$&'()*+,=:@").find(static_cast<char>(c)) != std::string_view::npos;
}

// Characters that compatibility mapping (NFKC, or a "best fit" code page) turns into ones that change a path.
bool folds_to_syntax(uint32_t point) {
  static constexpr uint32_t kPoints[] = {0x2024, 0x2025, 0x2026, 0x2044, 0x2215, 0x2216, 0xfe19,
                                         0xfe30, 0xfe52, 0xfe54, 0xfe68, 0xfe6a, 0xff05, 0xff0e,
                                         0xff0f, 0xff1b, 0xff3c, 0x29f8, 0x29f5, 0x29f9};
  return std::find(std::begin(kPoints), std::end(kPoints), point) != std::end(kPoints);
}

// The percent-encoded code point at `at`. Returns how many bytes it has.
Result<size_t> encoded_code_point(std::string_view raw, size_t at) {
  std::string bytes;
  for (size_t i = at; bytes.size() < 4; i += 3) {
    const auto byte = decode_at(raw, i);
    if (!byte) break;
    bytes.push_back(static_cast<char>(*byte));
  }
  const CodePoint point = decode_utf8(bytes);
  if (point.length == 0) return refuse("percent-encoded bytes that are not UTF-8");
  if (point.value < 0xa0 || folds_to_syntax(point.value))
    return refuse("a character that some servers read as a dot or a slash");
  return point.length;
}

// What an ASCII character, encoded or not, becomes.
Result<void> append_ascii(std::string& out, uint8_t c) {
  if (c < 0x20 || c == 0x7f) return refuse("a control character");
  if (c == '\\') return refuse("a backslash");
  if (c == ';') return refuse("\";\", after which servers read different things");
  if (stands_for_itself(c)) {
    out.push_back(static_cast<char>(c));
  } else {
    append_encoded(out, c);
  }
  return {};
}

// `path` is decoded: its segments are final, and "%25" is its only way to say "%".
Result<void> check_decoded(std::string_view path) {
  for (size_t i = path.find("%25"); i != std::string_view::npos; i = path.find("%25", i + 1))
    if (path.size() - i > 4 && hex_value(path[i + 3]) >= 0 && hex_value(path[i + 4]) >= 0)
      return refuse("a character that is encoded twice");
  path.remove_prefix(1);
  for (;;) {
    const auto slash = path.find('/');
    const auto segment = path.substr(0, slash);
    if (segment == "." || segment == "..") return refuse("a dot segment");
    if (slash == std::string_view::npos) return {};
    if (segment.empty()) return refuse("an empty segment (//)");
    path.remove_prefix(slash + 1);
  }
}

// Names compared as servers do that turn them into variables.
std::string folded(std::string_view name) {
  std::string out = lower_case(name);
  std::replace(out.begin(), out.end(), '_', '-');
  return out;
}

bool is_override_header(std::string_view name) {
  static constexpr std::string_view kNames[] = {
      "x-http-method-override",
      "x-method-override",
      "x-http-method",
      "x-original-method",
      "x-original-url",
      "x-original-uri",
      "x-original-host",
      "x-rewrite-url",
      "x-rewrite-uri",
      "x-forwarded-host",
      "x-forwarded-server",
      "x-forwarded-uri",
      "x-forwarded-path",
      "x-forwarded-prefix",
      "x-forwarded-method",
      "x-host",
      "x-http-host-override",
      "x-http-path-override",
      "x-override-url",
      "forwarded",
      "x-accel-redirect",
      "x-envoy-original-path",
      "x-goog-api-method-override",
      "x-http-destinationurl",
  };
  return std::find(std::begin(kNames), std::end(kNames), folded(name)) != std::end(kNames);
}

std::string query_name(std::string_view field) {
  std::string out;
  for (size_t i = 0; i < field.size() && field[i] != '='; ++i) {
    if (const auto byte = decode_at(field, i)) {
      out.push_back(static_cast<char>(*byte));
      i += 2;
    } else {
      out.push_back(field[i]);
    }
  }
  return folded(out);
}

bool is_override_query(std::string_view name) {
  static constexpr std::string_view kNames[] = {"-method",       "$httpmethod",       "x-http-method-override",
                                                "x-http-method", "x-method-override", "-http-method",
                                                "httpmethod"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

}  // namespace

Result<std::string> normalise_path(std::string_view raw) {
  if (raw.empty() || raw[0] != '/') return refuse("no slash at its beginning");
  if (raw.size() > kPathLimit) return refuse("more than 16 KiB");
  std::string out;
  for (size_t i = 0; i < raw.size();) {
    const auto c = static_cast<uint8_t>(raw[i]);
    if (c == '/') {
      out.push_back('/');
      ++i;
    } else if (c == '%') {
#ifdef STOCKADE_PLANTED_BUG
      // Trusts that two digits follow once the path is long enough.
      const auto byte = i > 12
                            ? std::optional<uint8_t>(hex_value(raw.data()[i + 1]) * 16 + hex_value(raw.data()[i + 2]))
                            : decode_at(raw, i);
#else
      const auto byte = decode_at(raw, i);
#endif
      if (!byte) return refuse("a percent sign that encodes nothing");
      if (*byte == '/') return refuse("an encoded slash");
      if (*byte < 0x80) {
        STOCKADE_TRY(append_ascii(out, *byte));
        i += 3;
        continue;
      }
      STOCKADE_ASSIGN(const size_t size, encoded_code_point(raw, i));
      for (size_t k = 0; k < size; ++k) append_encoded(out, *decode_at(raw, i + 3 * k));
      i += 3 * size;
    } else {
      if (c >= 0x80) return refuse("a byte outside of ASCII");
      if (c == '?' || c == '#' || c == ' ') return refuse("a character that ends a path");
      STOCKADE_TRY(append_ascii(out, c));
      ++i;
    }
  }
  STOCKADE_TRY(check_decoded(out));
  return out;
}

std::optional<std::string> find_override(const RequestHead& head) {
  for (const HttpField& field : head.fields)
    if (is_override_header(field.name)) return "header " + field.name;
  std::string_view rest = head.query ? std::string_view(*head.query) : std::string_view();
  while (!rest.empty()) {
    const auto end = rest.find_first_of("&;");
    const auto name = query_name(rest.substr(0, end));
    if (is_override_query(name)) return "query field " + std::string(rest.substr(0, std::min(end, rest.find('='))));
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  }
  return std::nullopt;
}

}  // namespace stockade::net
