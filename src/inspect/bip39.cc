#include "inspect/bip39.h"

#include <sodium.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "rules/bip39_words.h"

namespace stockade::inspect {

namespace {

constexpr size_t kWords = 2048;
constexpr size_t kSlotBits = 13;  // a quarter is taken: most words of a text meet an empty one

// Up to eight letters in one number.
constexpr uint64_t packed(std::string_view word) {
  uint64_t letters = 0;
  for (const char c : word) letters = letters << 8 | static_cast<uint64_t>(c | 32);
  return letters;
}

constexpr size_t slot_of(uint64_t letters) { return letters * 0x9e3779b97f4a7c15u >> (64 - kSlotBits); }

struct Table {
  std::array<uint64_t, kWords> words{};
  std::array<uint16_t, 1 << kSlotBits>
      slots{};  // of a word by its hash, or the next free: its index and one; else zero
};

consteval Table make_table(std::string_view text) {
  Table table;
  size_t count = 0;
  for (size_t at = 0; at < text.size(); ++count) {
    const size_t end = std::min(text.find('\n', at), text.size());
    if (end - at > 8) throw "a word of BIP-39 has at most eight letters";
    table.words.at(count) = packed(text.substr(at, end - at));
    size_t slot = slot_of(table.words[count]);
    while (table.slots[slot] != 0) slot = (slot + 1) % table.slots.size();
    table.slots[slot] = static_cast<uint16_t>(count + 1);
    at = end + 1;
  }
  if (count != kWords) throw "the list of BIP-39 has 2048 words";
  return table;
}

constexpr Table kTable = make_table(kBip39Words);

}  // namespace

int bip39_index(std::string_view word) {
  if (word.size() < 3 || word.size() > 8) return -1;
  const uint64_t letters = packed(word);
  for (size_t slot = slot_of(letters); kTable.slots[slot] != 0; slot = (slot + 1) % kTable.slots.size())
    if (kTable.words[kTable.slots[slot] - 1] == letters) return kTable.slots[slot] - 1;
  return -1;
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
