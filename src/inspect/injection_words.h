// The linear model over words: which words and which concepts (injection_rules.h) stand near each other, in hashed
// features with one byte of weight each, learnt by tests/corpora/injection/train.cc. The stretch that speaks most for
// an order is the one of at most kStretchTokens words whose weights have the greatest sum, so that harmless text
// around an order does not thin it out. Linear time. Shared, immutable, any thread. It knows word order only within
// four words, and no meaning: words that no training text had weigh nothing.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "inspect/injection_terms.h"
#include "inspect/injection_tokens.h"

namespace stockade::inspect {

inline constexpr size_t kFeatureBits = 20;
inline constexpr size_t kFeatureCount = size_t{1} << kFeatureBits;
inline constexpr size_t kStretchTokens = 64;

// The gate before the model is a smaller model of fewer features, whose table stays in the nearest caches: where no
// stretch has a sum of its weights that orders have, nothing else is computed.
inline constexpr size_t kGateBits = 15;
inline constexpr size_t kGateCount = size_t{1} << kGateBits;

// rules/injection_words.bin: one byte a feature, then one a feature of the gate.
std::span<const int8_t> bundled_word_weights();

constexpr uint32_t mix_features(uint32_t a, uint32_t b, uint32_t kind) {
  uint32_t h = a * 0x9e3779b1u ^ (b + kind) * 0x85ebca77u;
  h ^= h >> 15;
  h *= 0xc2b2ae3du;
  return h >> (32 - kFeatureBits);
}

// Calls sink(feature) for each of a token that the gate sums, below kGateCount.
template <class Sink>
void gate_features(std::span<const Token> tokens, size_t i, Sink&& sink) {
  constexpr size_t kShift = kFeatureBits - kGateBits;
  const Token& here = tokens[i];
  sink(mix_features(here.word, 0, 1) >> kShift);
  if (i > 0) sink(mix_features(tokens[i - 1].meaning, here.meaning, 4) >> kShift);
  if (i > 1) sink(mix_features(tokens[i - 2].meaning, here.meaning, 5) >> kShift);
}

// Calls sink(feature) for each of a token: words, meanings and markup, with those of the tokens before it.
template <class Sink>
void word_features(std::span<const Token> tokens, size_t i, Sink&& sink) {
  const Token& here = tokens[i];
  sink(mix_features(here.word, 0, 1));
  if (here.begins) sink(mix_features(here.meaning, 0, 2));
  if (here.markup != 0) sink(mix_features(here.markup, here.meaning, 3));
  if (i < 1) return;
  sink(mix_features(tokens[i - 1].word, here.word, 9));
  sink(mix_features(tokens[i - 1].meaning, here.meaning, 4));
  if (i >= 2) sink(mix_features(tokens[i - 2].meaning * 3 + tokens[i - 1].meaning, here.meaning, 7));
  for (size_t back = 2; back <= 5 && back <= i; ++back) sink(mix_features(tokens[i - back].meaning, here.meaning, 5));
}

// The same of a hit: its concept, and those of the hits shortly before it. English has words enough that were learnt;
// all other languages share weights of their own, so that concepts alone can carry an order there.
template <class Sink>
void concept_features(std::span<const TermHit> hits, size_t h, size_t mention, Sink&& sink) {
  const TermHit& here = hits[h];
  if (here.concept_index == mention) return;
  const uint32_t kind = here.foreign ? 20 : 10;
  const uint32_t own = here.concept_index + 1u;
  sink(mix_features(own, 0, kind));
  uint64_t seen = 0;
  for (size_t back = 1; back <= 8 && back <= h; ++back) {
    const TermHit& before = hits[h - back];
    const size_t distance = (here.begin - before.begin) * 4 / here.bytes_a_character;
    if (distance > 160) break;
    const size_t other = before.concept_index;
    if (other == mention || other == here.concept_index || (seen >> other & 1)) continue;
    seen |= uint64_t{1} << other;
    sink(mix_features(static_cast<uint32_t>(other) + 1u, own, kind + 1));
    if (distance <= 40) sink(mix_features(static_cast<uint32_t>(other) + 1u, own, kind + 2));
  }
}

// The token in which a hit begins, looked for from `from` on.
inline size_t token_of(std::span<const Token> tokens, const TermHit& hit, size_t from) {
  while (from + 1 < tokens.size() && tokens[from].end <= hit.begin) ++from;
  return from;
}

struct WordStretch {
  size_t first = 0;  // tokens
  size_t last = 0;
  double sum = 0;
};

// The best stretch that ends in each block of kStretchTokens tokens, of what the tokens weigh.
template <class Number>
void best_word_stretches(std::span<const Number> weights, std::vector<WordStretch>& out) {
  static_assert((kStretchTokens & (kStretchTokens - 1)) == 0);
  out.clear();
  // A monotonic queue, in a ring, of where the sums up to a token are least, within kStretchTokens tokens before the
  // end.
  struct Start {
    size_t token;
    Number before;
  };
  std::array<Start, kStretchTokens> ring;
  size_t head = 0;
  size_t tail = 0;
  Number total = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    while (tail > head && ring[(tail - 1) % kStretchTokens].before >= total) --tail;
    if (tail > head && ring[head % kStretchTokens].token + kStretchTokens <= i) ++head;
    ring[tail++ % kStretchTokens] = {i, total};
    total += weights[i];
    const Start& start = ring[head % kStretchTokens];
    const double sum = static_cast<double>(total - start.before);
    if (i % kStretchTokens == 0)
      out.push_back({start.token, i, sum});
    else if (sum > out.back().sum)
      out.back() = {start.token, i, sum};
  }
}

}  // namespace stockade::inspect
