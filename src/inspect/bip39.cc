#include "inspect/bip39.h"

#include <sodium.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "rules/bip39_words.h"

namespace stockade::inspect {

namespace {

constexpr size_t kWords = 2048;
constexpr size_t kLongest = 8;

struct Word {
  uint32_t beginning = 0;  // its first four letters, in order of which they stand
  uint16_t index = 0;
  uint8_t size = 0;
  std::array<char, kLongest> letters{};
};

// Four letters in 20 bits; zero for none.
constexpr uint32_t beginning_of(std::string_view word) {
  uint32_t bits = 0;
  for (size_t i = 0; i < 4; ++i) bits = bits << 5 | (i < word.size() ? static_cast<uint32_t>(word[i] & 31) : 0);
  return bits;
}

consteval std::array<Word, kWords> read_words(std::string_view text) {
  std::array<Word, kWords> words{};
  size_t count = 0;
  for (size_t at = 0; at < text.size(); ++count) {
    const size_t end = std::min(text.find('\n', at), text.size());
    Word& word = words.at(count);
    word.beginning = beginning_of(text.substr(at, end - at));
    word.index = static_cast<uint16_t>(count);
    word.size = static_cast<uint8_t>(end - at);
    for (size_t i = at; i < end; ++i) word.letters.at(i - at) = text[i];
    at = end + 1;
  }
  if (count != kWords) throw "the list of BIP-39 has 2048 words";
  std::ranges::sort(words, {}, &Word::beginning);
  return words;
}

constexpr std::array<Word, kWords> kSorted = read_words(kBip39Words);

// A bit for each beginning, in 2 KiB: most words of a text fail here.
constexpr size_t kMarks = 1 << 14;

constexpr size_t mark_of(uint32_t beginning) { return beginning * 0x9e3779b1u >> 18; }

consteval std::array<uint64_t, kMarks / 64> mark_beginnings() {
  std::array<uint64_t, kMarks / 64> marks{};
  for (const Word& word : kSorted) marks[mark_of(word.beginning) / 64] |= uint64_t{1} << mark_of(word.beginning) % 64;
  return marks;
}

constexpr auto kBeginnings = mark_beginnings();

}  // namespace

int bip39_index(std::string_view word) {
  if (word.size() < 3 || word.size() > kLongest) return -1;
  const uint32_t bits = beginning_of(word);
  if (!(kBeginnings[mark_of(bits) / 64] >> mark_of(bits) % 64 & 1)) return -1;
  const auto found = std::ranges::lower_bound(kSorted, bits, {}, &Word::beginning);
  if (found == kSorted.end() || found->size != word.size()) return -1;
  const bool same = std::equal(word.begin(), word.end(), found->letters.begin(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a | 32) : a) == b;
  });
  return same ? found->index : -1;
}

bool is_bip39_phrase(std::span<const int> indices) {
  const size_t count = indices.size();
  if (count < 12 || count > 24 || count % 3 != 0) return false;
  std::array<uint8_t, 33> bits{};
  for (size_t i = 0; i < count * 11; ++i)
    if (indices[i / 11] >> (10 - i % 11) & 1) bits[i / 8] |= static_cast<uint8_t>(0x80 >> i % 8);
  const size_t entropy_bytes = count * 11 * 32 / 33 / 8;
  std::array<uint8_t, 32> hash;
  crypto_hash_sha256(hash.data(), bits.data(), entropy_bytes);
  const int check_bits = static_cast<int>(count / 3);
  return hash[0] >> (8 - check_bits) == bits[entropy_bytes] >> (8 - check_bits);
}

}  // namespace stockade::inspect
