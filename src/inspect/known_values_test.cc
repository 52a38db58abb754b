#include "inspect/known_values.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace stockade::inspect {
namespace {

const std::string kLetters = "kT7wQz2LmX9pRb4VnYc8HsDf3JgA6uEe5WiO1tKq";  // no window of it comes twice

std::string reversed(std::string text) {
  std::reverse(text.begin(), text.end());
  return text;
}

bool finds(const KnownValues& known, std::string_view text, size_t begin, size_t end) {
  std::vector<KnownValues::Match> matches;
  known.find(text, matches);
  return std::any_of(matches.begin(), matches.end(),
                     [&](const auto& match) { return match.begin == begin && match.end == end; });
}

TEST(KnownValues, AreFoundAtEveryPlaceWhateverTheirLength) {
  for (size_t length = kKnownLeast; length <= kLetters.size(); ++length) {
    const std::string value = kLetters.substr(0, length);
    const auto known = KnownValues::create({{"SECRET", value, false}}, {1});
    ASSERT_TRUE(known);
    for (size_t before = 0; before < 14; ++before) {
      for (size_t behind = 0; behind < 14; ++behind) {
        const std::string left(before, '.'), right(behind, '.');
        EXPECT_TRUE(finds(*known, left + value + right, before, before + length))
            << length << " bytes at " << before << " before " << behind;
        EXPECT_TRUE(finds(*known, left + reversed(value) + right, before, before + length));
      }
    }
  }
}

TEST(KnownValues, AreFoundByAPieceOfSixteenBytes) {
  const std::string value = kLetters.substr(0, 2 * kKnownPiece);
  const auto known = KnownValues::create({{"SECRET", value, false}}, {1});
  ASSERT_TRUE(known);
  for (size_t from = 0; from + kKnownPiece <= value.size(); ++from) {
    for (size_t before = 0; before < 14; ++before) {
      const std::string text = std::string(before, '.') + value.substr(from, kKnownPiece) + "..";
      EXPECT_TRUE(finds(*known, text, before, before + kKnownPiece)) << from << " at " << before;
    }
  }
}

TEST(KnownValues, AreFoundOneBehindTheOtherAndBesideShortOnes) {
  const std::string first = kLetters.substr(0, 20), second = kLetters.substr(20), shortest = "zZ9-yY8+";
  const auto known = KnownValues::create({{"A", first, false}, {"B", second, false}}, {1});
  const auto with_short = KnownValues::create({{"A", first, false}, {"B", second, false}, {"C", shortest, false}}, {1});
  ASSERT_TRUE(known && with_short);
  const std::string text = ".." + second + first + shortest + first + second;
  for (const auto* each : {&*known, &*with_short}) {
    EXPECT_TRUE(finds(*each, text, 2, 22));
    EXPECT_TRUE(finds(*each, text, 22, 42));
    EXPECT_TRUE(finds(*each, text, 50, 70));
    EXPECT_TRUE(finds(*each, text, 70, 90));
  }
  EXPECT_TRUE(finds(*with_short, text, 42, 50));
  EXPECT_FALSE(finds(*known, text, 42, 50));
}

}  // namespace
}  // namespace stockade::inspect
