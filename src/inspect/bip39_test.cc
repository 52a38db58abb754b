#include "inspect/bip39.h"

#include <gtest/gtest.h>

#include <array>

namespace stockade::inspect {
namespace {

TEST(Bip39, KnowsItsWordsInAnyCaseAndNoOthers) {
  EXPECT_EQ(bip39_index("abandon"), 0);
  EXPECT_EQ(bip39_index("Ability"), 1);
  EXPECT_EQ(bip39_index("ZOO"), 2047);
  EXPECT_EQ(bip39_index("solution"), 1654);
  for (const char* other : {"aban", "abandons", "abandoned", "zo", "zoos", "the", "", "z@o", "[oo"})
    EXPECT_EQ(bip39_index(other), -1) << other;
}

TEST(Bip39, ChecksThePhrase) {
  std::array<int, 12> phrase{};  // "abandon" eleven times and "about": the proposal's first example
  EXPECT_FALSE(is_bip39_phrase(phrase));
  phrase[11] = bip39_index("about");
  EXPECT_TRUE(is_bip39_phrase(phrase));
  EXPECT_FALSE(is_bip39_phrase(std::span(phrase).first(11)));
}

}  // namespace
}  // namespace stockade::inspect
