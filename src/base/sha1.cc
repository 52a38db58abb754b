#include "base/sha1.h"

#include <bit>
#include <string>

namespace stockade {

namespace {

constexpr size_t kBlock = 64;
using State = std::array<uint32_t, 5>;

uint32_t big_endian(const unsigned char* at) {
  return uint32_t{at[0]} << 24 | uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 | at[3];
}

void add_block(State& state, const unsigned char* block) {
  std::array<uint32_t, 80> words;
  for (size_t i = 0; i < 16; ++i) words[i] = big_endian(block + 4 * i);
  for (size_t i = 16; i < 80; ++i) words[i] = std::rotl(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
  auto [a, b, c, d, e] = state;
  const auto step = [&](uint32_t mixed, uint32_t constant, uint32_t word) {
    const uint32_t next = std::rotl(a, 5) + mixed + e + constant + word;
    e = d;
    d = c;
    c = std::rotl(b, 30);
    b = a;
    a = next;
  };
  for (size_t i = 0; i < 20; ++i) step((b & c) | (~b & d), 0x5a827999, words[i]);
  for (size_t i = 20; i < 40; ++i) step(b ^ c ^ d, 0x6ed9eba1, words[i]);
  for (size_t i = 40; i < 60; ++i) step((b & c) | (b & d) | (c & d), 0x8f1bbcdc, words[i]);
  for (size_t i = 60; i < 80; ++i) step(b ^ c ^ d, 0xca62c1d6, words[i]);
  const State sum = {a, b, c, d, e};
  for (size_t i = 0; i < state.size(); ++i) state[i] += sum[i];
}

}  // namespace

std::array<uint8_t, 20> sha1(std::string_view bytes) {
  State state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  const auto* at = reinterpret_cast<const unsigned char*>(bytes.data());
  const size_t whole = bytes.size() / kBlock * kBlock;
  for (size_t i = 0; i < whole; i += kBlock) add_block(state, at + i);

  std::string last(bytes.substr(whole));
  last += '\x80';
  while (last.size() % kBlock != kBlock - 8) last += '\0';
  const uint64_t bits = uint64_t{bytes.size()} * 8;
  for (int shift = 56; shift >= 0; shift -= 8) last += static_cast<char>(bits >> shift);
  for (size_t i = 0; i < last.size(); i += kBlock)
    add_block(state, reinterpret_cast<const unsigned char*>(last.data()) + i);

  std::array<uint8_t, 20> digest;
  for (size_t i = 0; i < digest.size(); ++i) digest[i] = static_cast<uint8_t>(state[i / 4] >> (24 - 8 * (i % 4)));
  return digest;
}

}  // namespace stockade
