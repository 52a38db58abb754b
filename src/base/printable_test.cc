#include "base/printable.h"

#include <gtest/gtest.h>

#include <set>

namespace stockade {
namespace {

TEST(EscapeForTerminal, LeavesPrintableTextAlone) {
  for (const char* text : {"", "plain text, 100 %", "grüße", "日本語", "🦊 fox", "Ωμέγα", "e\xcc\x81"})
    EXPECT_EQ(escape_for_terminal(text), text);
}

TEST(EscapeForTerminal, ShowsControlsInvalidBytesAndInvisibleCodePoints) {
  EXPECT_EQ(escape_for_terminal("a\x1b]52;c;AAAA\x07z"), "a\\e]52;c;AAAA\\x07z");
  EXPECT_EQ(escape_for_terminal("1\n2\t3\r"), "1\\n2\\t3\\r");
  EXPECT_EQ(escape_for_terminal("\x9b\xff"), "\\x9b\\xff");
  EXPECT_EQ(escape_for_terminal("\xc2\x9b"), "\\u{9b}");
  EXPECT_EQ(escape_for_terminal("a\u202e\u200b\ufeff"), "a\\u{202e}\\u{200b}\\u{feff}");
  EXPECT_EQ(escape_for_terminal("a b\u00a0c\u3000d"), "a b\\u{a0}c\\u{3000}d") << "spaces that are not the plain one";
  EXPECT_EQ(escape_for_terminal("\xf3\xa0\x81\x81"), "\\u{e0041}");
  EXPECT_EQ(escape_for_terminal(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(escape_for_terminal("\xe2\x82"), "\\xe2\\x82") << "a character that is cut off";
  EXPECT_EQ(escape_for_terminal("\xc0\xaf\xed\xa0\x80"), "\\xc0\\xaf\\xed\\xa0\\x80") << "overlong, surrogate";
}

TEST(EscapeForTerminal, NeverMakesTwoTextsLookAlike) {
  EXPECT_EQ(escape_for_terminal("\\x1b"), "\\\\x1b");
  std::set<std::string> seen;
  for (int a = 0; a < 256; ++a)
    for (int b = 0; b < 256; ++b)
      EXPECT_TRUE(seen.insert(escape_for_terminal(std::string{char(a), char(b)})).second) << a << " " << b;
}

TEST(IsPrintable, NeverAllowsAControlInAnyPlane) {
  for (uint32_t point = 0; point <= 0x10ffff; ++point) {
    const bool control = point < 0x20 || (point >= 0x7f && point < 0xa0);
    const bool noncharacter = (point & 0xfffe) == 0xfffe || (point >= 0xfdd0 && point <= 0xfdef);
    if (control || noncharacter || (point >= 0xd800 && point < 0xf900)) {
      EXPECT_FALSE(is_printable(point)) << point;
    }
  }
  EXPECT_FALSE(is_printable(0x110000));
}

}  // namespace
}  // namespace stockade
