// Recall: each rule's secrets (varied by a seeded generator), in every encoding, at every placement. At least 99.5 %
// must be found, and 97 % in each pair of encoding and placement.
#include <gtest/gtest.h>
#include <re2/re2.h>
#include <zlib.h>
#include <zstd.h>

#include <functional>
#include <map>
#include <random>

#include "inspect/alphabets.h"
#include "inspect/engine.h"

namespace stockade::inspect {
namespace {

std::string bits(std::string_view text, std::string_view alphabet, int width, bool pad) {
  std::string out;
  uint32_t held = 0;
  int count = 0;
  for (const char c : text) {
    held = held << 8 | static_cast<unsigned char>(c);
    for (count += 8; count >= width; count -= width) out += alphabet[held >> (count - width) & ((1u << width) - 1)];
  }
  if (count > 0) out += alphabet[held << (width - count) & ((1u << width) - 1)];
  const size_t group = width == 6 ? 4 : 8;
  while (pad && out.size() % group != 0) out += '=';
  return out;
}

std::string base64(std::string_view text) { return bits(text, kBase64Alphabet, 6, true); }
std::string base64url(std::string_view text) {
  return bits(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", 6, false);
}
std::string base32(std::string_view text) { return bits(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 5, true); }

std::string each(std::string_view text, std::string_view before, const char* format, std::string_view between = "") {
  std::string out;
  for (const char c : text) {
    char buffer[16];
    std::snprintf(buffer, sizeof(buffer), format, static_cast<unsigned char>(c));
    if (!out.empty()) out += between;
    out += before;
    out += buffer;
  }
  return out;
}

std::string grouped(std::string_view text, size_t width, std::string_view between) {
  std::string out;
  for (size_t at = 0; at < text.size(); at += width) {
    if (at != 0) out += between;
    out += text.substr(at, width);
  }
  return out;
}

std::string base58(std::string_view text) {
  static constexpr std::string_view kAlphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
  std::vector<int> digits;
  for (const char c : text) {
    int carry = static_cast<unsigned char>(c);
    for (int& digit : digits) {
      carry += digit * 256;
      digit = carry % 58;
      carry /= 58;
    }
    for (; carry > 0; carry /= 58) digits.push_back(carry % 58);
  }
  std::string out;
  for (auto digit = digits.rbegin(); digit != digits.rend(); ++digit) out += kAlphabet[static_cast<size_t>(*digit)];
  return out;
}

std::string base85(std::string_view text, std::string_view alphabet) {
  std::string out;
  for (size_t at = 0; at < text.size(); at += 4) {
    const auto piece = text.substr(at, 4);
    uint32_t value = 0;
    for (size_t i = 0; i < 4; ++i) value = value << 8 | (i < piece.size() ? static_cast<unsigned char>(piece[i]) : 0);
    char group[5];
    for (int i = 4; i >= 0; --i, value /= 85) group[i] = alphabet[value % 85];
    out.append(group, piece.size() + 1);
  }
  return out;
}
std::string ascii85_alphabet() {
  std::string alphabet;
  for (char c = '!'; c <= 'u'; ++c) alphabet += c;
  return alphabet;
}

std::string deflated(std::string_view text, int window) {
  z_stream stream{};
  EXPECT_EQ(::deflateInit2(&stream, 9, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(text.size() + 256, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(::deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  ::deflateEnd(&stream);
  return out;
}
std::string zstd(std::string_view text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

std::string code_points(std::string_view text, uint32_t offset, std::string_view between = "") {
  std::string out;
  for (const char c : text) {
    uint32_t value = static_cast<unsigned char>(c);
    if (value > 0x20 && value < 0x7f) value += offset;
    if (!out.empty()) out += between;
    if (value < 0x80)
      out += static_cast<char>(value);
    else if (value < 0x10000)
      out += {static_cast<char>(0xe0 | value >> 12), static_cast<char>(0x80 | (value >> 6 & 63)),
              static_cast<char>(0x80 | (value & 63))};
    else
      out += {static_cast<char>(0xf0 | value >> 18), static_cast<char>(0x80 | (value >> 12 & 63)),
              static_cast<char>(0x80 | (value >> 6 & 63)), static_cast<char>(0x80 | (value & 63))};
  }
  return out;
}
std::string wide(std::string_view text, size_t before, size_t after) {
  std::string out;
  for (const char c : text) out += std::string(before, '\0') + c + std::string(after, '\0');
  return out;
}
std::string rot13(std::string_view text) { return decode_rot13(text, 0, text.size()).bytes; }

struct Encoding {
  const char* name;
  std::function<std::string(const std::string&)> encode;
  enum Needs { nothing, prefix, short_text, ascii } needs = nothing;
};

std::vector<Encoding> encodings() {
  const auto url = [](const std::string& t) { return each(t, "%", "%02X"); };
  return {
      {"plain", [](const std::string& t) { return t; }},
      {"url", url},
      {"url twice", [url](const std::string& t) { return each(url(t), "%", "%02x"); }},
      {"base64", [](const std::string& t) { return base64(t); }},
      {"base64 url-safe, unpadded", [](const std::string& t) { return base64url(t); }},
      {"base64 at another alignment", [](const std::string& t) { return base64(":" + t); }},
      {"base64 in MIME lines",
       [](const std::string& t) {
         return grouped(base64("from here: " + t + " and so on, until the line is full and over it"), 76, "\r\n");
       }},
      {"base64 spaced", [](const std::string& t) { return grouped(base64(t), 4, " "); }},
      {"base64 three times", [](const std::string& t) { return base64(base64(base64(t))); }},
      {"base32", [](const std::string& t) { return base32(t); }},
      {"base58", [](const std::string& t) { return base58(t); }, Encoding::short_text},
      {"base85",
       [](const std::string& t) {
         return base85(t, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~");
       }},
      {"ascii85", [](const std::string& t) { return "<~" + base85(t, ascii85_alphabet()) + "~>"; }},
      {"hex", [](const std::string& t) { return each(t, "", "%02x"); }},
      {"hex upper case", [](const std::string& t) { return each(t, "", "%02X"); }},
      {"hex \\x", [](const std::string& t) { return each(t, "\\x", "%02x"); }},
      {"hex 0x, list", [](const std::string& t) { return each(t, "0x", "%02x", ", "); }},
      {"hex with colons", [](const std::string& t) { return each(t, "", "%02x", ":"); }},
      {"hex with spaces", [](const std::string& t) { return each(t, "", "%02x", " "); }},
      {"octal", [](const std::string& t) { return each(t, "\\", "%03o"); }},
      {"decimal list", [](const std::string& t) { return each(t, "", "%d", ", "); }},
      {"HTML entities", [](const std::string& t) { return each(t, "&#", "%d;"); }},
      {"HTML entities, hex", [](const std::string& t) { return each(t, "&#x", "%x;"); }},
      {"JSON escapes", [](const std::string& t) { return each(t, "\\u", "%04x"); }},
      {"quoted-printable", [](const std::string& t) { return each(t, "=", "%02X"); }},
      {"UTF-16LE", [](const std::string& t) { return wide(t, 0, 1); }, Encoding::ascii},
      {"UTF-16BE", [](const std::string& t) { return wide(t, 1, 0); }, Encoding::ascii},
      {"UTF-32LE", [](const std::string& t) { return wide(t, 0, 3); }, Encoding::ascii},
      {"base64 of UTF-16", [](const std::string& t) { return base64(wide(t, 0, 1)); }, Encoding::ascii},
      {"UTF-7", [](const std::string& t) { return "+" + bits(wide(t, 1, 0), kBase64Alphabet, 6, false) + "-"; },
       Encoding::ascii},
      {"full width", [](const std::string& t) { return code_points(t, 0xfee0); }},
      {"tag characters", [](const std::string& t) { return code_points(t, 0xe0000); }},
      {"zero width between", [](const std::string& t) { return code_points(t, 0, "\xe2\x80\x8b"); }},
      {"gzip", [](const std::string& t) { return deflated(t, 31); }},
      {"base64 of gzip", [](const std::string& t) { return base64(deflated(t, 31)); }},
      {"base64 of zlib", [](const std::string& t) { return base64(deflated(t, 15)); }},
      {"hex of zstd", [](const std::string& t) { return each(zstd(t), "", "%02x"); }},
      {"URL of base64 of hex", [url](const std::string& t) { return url(base64(each(t, "", "%02x"))); }},
      {"ROT13", [](const std::string& t) { return rot13(t); }, Encoding::prefix},
      {"reversed", [](const std::string& t) { return std::string(t.rbegin(), t.rend()); }, Encoding::prefix},
  };
}

struct Placement {
  const char* name;
  const char* before;
  const char* behind;
};
constexpr Placement kPlacements[] = {
    {"alone", "", ""},
    {"JSON string", "{\"messages\": [{\"role\": \"user\", \"content\": \"", "\"}]}"},
    {"query value", "GET /search?q=", "&page=2"},
    {"form field", "user=me&note=", "&submit=1"},
    {"header", "X-Note: ", "\r\nAccept: */*"},
    {"Markdown", "Please look at this:\n\n```\n", "\n```\nThank you.\n"},
    {"XML", "<note><body>", "</body></note>"},
    {"long text", "It was a bright cold day in April, and the clocks were striking thirteen. ",
     "\nWinston Smith slipped quickly through the glass doors."},
};

// The secret of an example with other characters of the same kinds, in its last two thirds; the example itself where a
// checksum forbids that.
std::string vary(const std::string& example, const Rule& rule, Scanner& scanner, std::mt19937& random) {
  re2::RE2::Options options;
  options.set_encoding(re2::RE2::Options::EncodingLatin1);
  const re2::RE2 pattern(rule.pattern.empty() ? "x^" : rule.pattern, options);
  re2::StringPiece parts[2];
  const int groups = pattern.NumberOfCapturingGroups() > 0 ? 2 : 1;
  if (!pattern.Match(example, 0, example.size(), re2::RE2::UNANCHORED, parts, groups)) return example;
  const auto secret = groups == 2 ? parts[1] : parts[0];
  const auto begin = static_cast<size_t>(secret.data() - example.data());
  std::string varied = example;
  for (size_t i = begin + secret.size() / 3; i < begin + secret.size(); ++i) {
    char& c = varied[i];
    const bool hex_word =
        secret.size() >= 20 && std::all_of(secret.begin() + static_cast<ptrdiff_t>(secret.size() / 3), secret.end(),
                                           [](char h) { return digit_of(kHex, h) >= 0 || h == '-'; });
    const auto pick = [&](std::string_view from) { c = from[random() % from.size()]; };
    if (c >= '0' && c <= '9')
      pick("0123456789");
    else if (c >= 'a' && c <= 'z')
      pick(hex_word ? "abcdef" : "abcdefghijklmnopqrstuvwxyz");
    else if (c >= 'A' && c <= 'Z')
      pick(hex_word ? "ABCDEF" : "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
  }
  return scanner.scan(Direction::out, varied).empty() ? example : varied;
}

TEST(Corpus, SecretsAreFoundInEveryEncodingAtEveryPlacement) {
  const auto rules = builtin_rules();
  ASSERT_TRUE(rules);
  auto engine = Engine::create({.rules = *CompiledRules::builtin(), .known = {}, .key = {}});
  ASSERT_TRUE(engine);
  auto scanner = Scanner::create(*engine);
  ASSERT_TRUE(scanner);
  std::mt19937 random(20261128);
  struct Tally {
    size_t all = 0, found = 0;
    std::string missed;
  };
  std::map<std::string, Tally> cells;
  Tally total;
  for (const Rule& rule : *rules) {
    const std::string secret = vary(rule.examples[random() % rule.examples.size()], rule, *scanner, random);
    const bool has_prefix =
        std::any_of(rule.keywords.begin(), rule.keywords.end(), [](const auto& k) { return k.size() >= 4; });
    const bool ascii = std::all_of(secret.begin(), secret.end(), [](char c) { return c > 0; });
    for (const Encoding& encoding : encodings()) {
      if (encoding.needs == Encoding::prefix && !has_prefix) continue;
      if (encoding.needs == Encoding::short_text && secret.size() > 140) continue;
      if (encoding.needs == Encoding::ascii && !ascii) continue;
      const std::string encoded = encoding.encode(secret);
      for (const Placement& placement : kPlacements) {
        const bool found = !scanner->scan(Direction::out, placement.before + encoded + placement.behind).empty();
        Tally& cell = cells[fmt::format("{} in {}", encoding.name, placement.name)];
        for (Tally* tally : {&cell, &total}) {
          ++tally->all;
          tally->found += found;
        }
        if (!found && cell.missed.size() < 200) cell.missed += " " + rule.id;
      }
    }
  }
  const double rate = 100.0 * static_cast<double>(total.found) / static_cast<double>(total.all);
  std::printf("corpus: %zu of %zu found, %.3f %%\n", total.found, total.all, rate);
  RecordProperty("recall", fmt::format("{:.3f}", rate));
  EXPECT_GE(rate, 99.5);
  for (const auto& [name, cell] : cells)
    EXPECT_GE(100.0 * static_cast<double>(cell.found), 97.0 * static_cast<double>(cell.all))
        << name << ": " << cell.found << " of " << cell.all << "; missed" << cell.missed;
}

}  // namespace
}  // namespace stockade::inspect
