#include "inspect/validators.h"

#include <sodium.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

namespace stockade::inspect {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
char lower(char c) { return is_upper(c) ? static_cast<char>(c + 32) : c; }

std::string digits_of(std::string_view text) {
  std::string digits;
  for (const char c : text)
    if (is_digit(c)) digits += c;
  return digits;
}

struct IbanLength {
  char country[3];
  uint8_t length;
};
constexpr IbanLength kIbanLengths[] = {
    {"AD", 24}, {"AE", 23}, {"AL", 28}, {"AT", 20}, {"AZ", 28}, {"BA", 20}, {"BE", 16}, {"BG", 22}, {"BH", 22},
    {"BR", 29}, {"BY", 28}, {"CH", 21}, {"CR", 22}, {"CY", 28}, {"CZ", 24}, {"DE", 22}, {"DK", 18}, {"DO", 28},
    {"EE", 20}, {"EG", 29}, {"ES", 24}, {"FI", 18}, {"FO", 18}, {"FR", 27}, {"GB", 22}, {"GE", 22}, {"GI", 23},
    {"GL", 18}, {"GR", 27}, {"GT", 28}, {"HR", 21}, {"HU", 28}, {"IE", 22}, {"IL", 23}, {"IQ", 23}, {"IS", 26},
    {"IT", 27}, {"JO", 30}, {"KW", 30}, {"KZ", 20}, {"LB", 28}, {"LC", 32}, {"LI", 21}, {"LT", 20}, {"LU", 20},
    {"LV", 21}, {"MC", 27}, {"MD", 24}, {"ME", 22}, {"MK", 19}, {"MR", 27}, {"MT", 31}, {"MU", 30}, {"NL", 18},
    {"NO", 15}, {"PK", 24}, {"PL", 28}, {"PS", 29}, {"PT", 25}, {"QA", 29}, {"RO", 24}, {"RS", 22}, {"SA", 24},
    {"SC", 31}, {"SE", 24}, {"SI", 19}, {"SK", 24}, {"SM", 27}, {"ST", 25}, {"SV", 28}, {"TL", 23}, {"TN", 24},
    {"TR", 26}, {"UA", 29}, {"VA", 22}, {"VG", 24}, {"XK", 20}};

int base58_digit(char c) {
  static constexpr std::string_view kAlphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
  const auto at = kAlphabet.find(c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

int base64url_digit(char c) {
  if (is_upper(c)) return c - 'A';
  if (is_lower(c)) return c - 'a' + 26;
  if (is_digit(c)) return c - '0' + 52;
  if (c == '-' || c == '+') return 62;
  return c == '_' || c == '/' ? 63 : -1;
}

std::string decode_base64_prefix(std::string_view text, size_t limit) {
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int digit = base64url_digit(c);
    if (digit < 0 || out.size() >= limit) break;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    if ((count += 6) >= 8) out += static_cast<char>(bits >> (count -= 8));
  }
  return out;
}

// ICAO 9303: weights 7-3-1 over digits, letters (A is 10) and fillers.
bool mrz_check(std::string_view field, char check) {
  static constexpr int kWeights[] = {7, 3, 1};
  int sum = 0;
  for (size_t i = 0; i < field.size(); ++i) {
    const char c = field[i];
    const int value = is_digit(c) ? c - '0' : is_upper(c) ? c - 'A' + 10 : 0;
    sum += value * kWeights[i % 3];
  }
  return (check == '<' ? 0 : check - '0') == sum % 10;
}

}  // namespace

double shannon_entropy(std::string_view text) {
  if (text.empty()) return 0;
  std::array<uint32_t, 256> counts{};
  for (const char c : text) ++counts[static_cast<unsigned char>(c)];
  double bits = 0;
  for (const uint32_t count : counts)
    if (count != 0) bits -= count * std::log2(static_cast<double>(count) / static_cast<double>(text.size()));
  return bits / static_cast<double>(text.size());
}

bool is_luhn_valid(std::string_view text) {
  const std::string digits = digits_of(text);
  if (digits.size() < 12 || digits.size() > 19) return false;
  if (std::all_of(digits.begin() + 1, digits.end(), [&](char c) { return c == digits.back(); })) return false;
  int sum = 0;
  for (size_t i = 0; i < digits.size(); ++i) {
    int value = digits[digits.size() - 1 - i] - '0';
    if (i % 2 == 1 && (value *= 2) > 9) value -= 9;
    sum += value;
  }
  return sum % 10 == 0;
}

bool is_iban(std::string_view text) {
  std::string plain;
  for (const char c : text)
    if (c != ' ') plain += c;
  if (plain.size() < 15) return false;
  const auto* known = std::find_if(std::begin(kIbanLengths), std::end(kIbanLengths),
                                   [&](const IbanLength& l) { return plain.starts_with(l.country); });
  if (known == std::end(kIbanLengths) || known->length != plain.size()) return false;
  std::rotate(plain.begin(), plain.begin() + 4, plain.end());
  int rest = 0;
  for (const char c : plain) {
    if (!is_digit(c) && !is_upper(c)) return false;
    rest = is_digit(c) ? (rest * 10 + c - '0') % 97 : (rest * 100 + c - 'A' + 10) % 97;
  }
  return rest == 1;
}

bool is_ssn(std::string_view text) {
  const std::string digits = digits_of(text);
  if (digits.size() != 9) return false;
  const int area = std::stoi(digits.substr(0, 3));
  // Numbers that advertisements made famous, and the series that documentation counts with.
  if (digits == "078051120" || digits == "219099999" || digits == "123456789" || digits == "111111111" ||
      digits == "111223333" || digits == "123121234")
    return false;
  return area != 0 && area != 666 && area < 900 && digits.substr(3, 2) != "00" && digits.substr(5) != "0000";
}

bool is_aba_routing(std::string_view text) {
  if (text.size() != 9 || !std::all_of(text.begin(), text.end(), is_digit)) return false;
  static constexpr int kWeights[] = {3, 7, 1};
  int sum = 0;
  for (size_t i = 0; i < 9; ++i) sum += (text[i] - '0') * kWeights[i % 3];
  const int first = (text[0] - '0') * 10 + text[1] - '0';
  const bool assigned = first <= 12 || (first >= 21 && first <= 32) || (first >= 61 && first <= 72) || first == 80;
  return sum != 0 && sum % 10 == 0 && assigned;
}

bool is_base58check(std::string_view text) {
  if (text.size() < 8 || text.size() > 128) return false;
  std::vector<uint8_t> bytes;  // least significant first
  for (const char c : text) {
    int carry = base58_digit(c);
    if (carry < 0) return false;
    for (uint8_t& byte : bytes) {
      carry += byte * 58;
      byte = static_cast<uint8_t>(carry);
      carry >>= 8;
    }
    for (; carry > 0; carry >>= 8) bytes.push_back(static_cast<uint8_t>(carry));
  }
  for (size_t i = 0; i < text.size() && text[i] == '1'; ++i) bytes.push_back(0);
  std::reverse(bytes.begin(), bytes.end());
  if (bytes.size() < 5) return false;
  std::array<uint8_t, 32> hash;
  crypto_hash_sha256(hash.data(), bytes.data(), bytes.size() - 4);
  crypto_hash_sha256(hash.data(), hash.data(), hash.size());
  return std::memcmp(hash.data(), bytes.data() + bytes.size() - 4, 4) == 0;
}

bool has_github_checksum(std::string_view token) {
  if (token.size() != 40) return false;
  static constexpr std::string_view kDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  uint64_t crc = ::crc32(0, reinterpret_cast<const Bytef*>(token.data()) + 4, 30);
  for (size_t i = 0; i < 6; ++i, crc /= 62)
    if (token[39 - i] != kDigits[crc % 62]) return false;
  return true;
}

bool is_jwt_head(std::string_view token) {
  const std::string head = decode_base64_prefix(token.substr(0, token.find('.')), 2048);
  return head.starts_with('{') &&
         (head.find("\"alg\"") != std::string::npos || head.find("\"typ\"") != std::string::npos);
}

bool is_passport_mrz(std::string_view text) {
  if (text.size() < 89) return false;
  const std::string_view line = text.substr(text.size() - 44);
  return mrz_check(line.substr(0, 9), line[9]) && mrz_check(line.substr(13, 6), line[19]) &&
         mrz_check(line.substr(21, 6), line[27]);
}

bool is_placeholder(std::string_view value) {
  std::string plain;
  plain.reserve(value.size());
  for (const char c : value) plain += lower(c);
  static constexpr std::string_view kWords[] = {"example",
                                                "changeme",
                                                "change_me",
                                                "change-me",
                                                "your_",
                                                "your-",
                                                "yours",
                                                "placeholder",
                                                "dummy",
                                                "redacted",
                                                "xxxx",
                                                "****",
                                                "....",
                                                "<",
                                                "${",
                                                "{{",
                                                "$(",
                                                "insert",
                                                "replace",
                                                "sample",
                                                "abcdefg",
                                                "0123456",
                                                "12345678",
                                                "deadbeef",
                                                "todo",
                                                "fixme",
                                                "foobar",
                                                "not-a-",
                                                "notreal",
                                                "fake",
                                                "gx1fbat3bv",
                                                "p4ssw0rd",
                                                "hunter2",
                                                "opensesame",
                                                "not my real",
                                                "czzcagrsa3f0mzpnwdfmqmf0m2jw",
                                                "2yotnfzfejr1zcsicmwpaa"};
  for (const std::string_view word : kWords)
    if (plain.find(word) != std::string::npos) return true;
  // Few different characters for its length, or a short piece again and again.
  std::array<bool, 256> seen{};
  size_t kinds = 0;
  for (const char c : value)
    if (!std::exchange(seen[static_cast<unsigned char>(c)], true)) ++kinds;
  if (kinds < 4 || kinds * 6 < std::min<size_t>(value.size(), 48)) return true;
  for (size_t period = 1; period <= 4 && period * 3 <= value.size(); ++period)
    if (value.substr(period) == value.substr(0, value.size() - period)) return true;
  return false;
}

namespace {

// Words, each at least three letters long on average, with few digits among them. Random text changes its case, or from
// letter to digit, at every second character.
bool is_wordy(std::string_view part) {
  if (part.size() <= 2) return true;
  size_t segments = 1, digits = 0;
  for (size_t i = 0; i < part.size(); ++i) {
    digits += is_digit(part[i]);
    if (!is_digit(part[i]) && !is_alpha(part[i])) return false;
    if (i == 0) continue;
    const bool new_word = (is_upper(part[i]) && is_lower(part[i - 1])) ||
                          (i > 1 && is_lower(part[i]) && is_upper(part[i - 1]) && is_upper(part[i - 2]));
    segments += new_word || is_digit(part[i]) != is_digit(part[i - 1]);
  }
  return digits <= 5 && digits * 3 <= part.size() + 9 && part.size() + 2 >= 3 * segments;
}

}  // namespace

bool is_plain_expression(std::string_view value) {
  const size_t digits = static_cast<size_t>(std::count_if(value.begin(), value.end(), is_digit));
  const size_t letters = static_cast<size_t>(std::count_if(value.begin(), value.end(), is_alpha));
  if (digits == 0 && letters == value.size()) {
    // Letters alone, one case or capitalised: a word, or a name in code.
    const size_t upper = static_cast<size_t>(std::count_if(value.begin(), value.end(), is_upper));
    if (upper <= 4 || upper == letters) return true;
  }
  if (value.find("://") != std::string_view::npos || value.find("(") != std::string_view::npos) return true;
  if (value.find("::") != std::string_view::npos || value.find("->") != std::string_view::npos) return true;
  if (value.starts_with('/') || value.starts_with("./") || value.starts_with('$') || value.starts_with('%') ||
      value.starts_with('&') || value.starts_with('@') || value.starts_with('*'))
    return true;
  // snake_case, kebab-case, camelCase and dotted names: every part is made of words.
  size_t parts = 0;
  for (size_t at = 0; at <= value.size(); ++parts) {
    const size_t end = std::min(value.find_first_of("_-./=+&%", at), value.size());
    if (!is_wordy(value.substr(at, end - at))) return false;
    at = end + 1;
  }
  return parts >= 2 || value.size() >= 20;
}

bool passes(Validator validator, std::string_view secret) {
  switch (validator) {
    case Validator::luhn:
      return is_luhn_valid(secret);
    case Validator::iban:
      return is_iban(secret);
    case Validator::ssn:
      return is_ssn(secret);
    case Validator::aba:
      return is_aba_routing(secret);
    case Validator::base58check:
      return is_base58check(secret);
    case Validator::bip39:
      return true;  // its detector has checked it
    case Validator::jwt:
      return is_jwt_head(secret);
    case Validator::github_checksum:
      return has_github_checksum(secret);
    case Validator::mrz:
      return is_passport_mrz(secret);
    case Validator::not_placeholder:
      return !is_placeholder(secret);
    case Validator::password:
      return !is_placeholder(secret) && !is_plain_expression(secret) && secret != "password" && secret != "guest" &&
             secret != "pass";
    case Validator::mixed:
      return std::any_of(secret.begin(), secret.end(), is_digit) && std::any_of(secret.begin(), secret.end(), is_alpha);
    case Validator::login: {
      // user:password in printable characters
      const std::string login = decode_base64_prefix(secret, 512);
      const auto colon = login.find(':');
      return colon != std::string::npos && login.size() - colon > 4 && !is_placeholder(login.substr(colon + 1)) &&
             std::all_of(login.begin(), login.end(), [](char c) { return c >= ' ' && c <= '~'; });
    }
  }
  return false;
}

}  // namespace stockade::inspect
