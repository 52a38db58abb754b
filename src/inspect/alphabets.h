// Which bytes belong to the alphabets of base64, base32, base58 and hex, and what each is worth: 256 bytes a table,
// made at compile time.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace stockade::inspect {

using DigitTable = std::array<int8_t, 256>;  // -1: not of the alphabet

consteval DigitTable digit_table(std::string_view alphabet, std::string_view same_as = {}) {
  DigitTable table{};
  table.fill(-1);
  for (size_t i = 0; i < alphabet.size(); ++i) table[static_cast<unsigned char>(alphabet[i])] = static_cast<int8_t>(i);
  for (size_t i = 0; i < same_as.size(); ++i)
    if (same_as[i] != ' ') table[static_cast<unsigned char>(same_as[i])] = static_cast<int8_t>(i);
  return table;
}

inline constexpr std::string_view kBase64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
inline constexpr DigitTable kBase64 =
    digit_table(kBase64Alphabet, "                                                              -_");
inline constexpr DigitTable kBase32 = digit_table("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "abcdefghijklmnopqrstuvwxyz");
inline constexpr DigitTable kBase58 = digit_table("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz");
// Of tokens in parts, of what machines read in passports, and of both: only members, worth nothing.
inline constexpr DigitTable kTokenCharacters =
    digit_table("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.");
inline constexpr DigitTable kCapitals = digit_table("ABCDEFGHIJKLMNOPQRSTUVWXYZ<");
inline constexpr DigitTable kRunCharacters =
    digit_table("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.<");
inline constexpr DigitTable kHex = digit_table("0123456789abcdef", "          ABCDEF");
inline constexpr DigitTable kBase85 =  // RFC 1924, as Python's b85encode writes it
    digit_table("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~");
inline constexpr DigitTable kZ85 =  // ZeroMQ's
    digit_table("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#");

inline int digit_of(const DigitTable& table, char c) { return table[static_cast<unsigned char>(c)]; }

}  // namespace stockade::inspect
