#include "inspect/hidden_text.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace stockade::inspect {
namespace {

bool hides(const TextReading& reading, HiddenKind kind, std::string_view text) {
  return std::any_of(reading.hidden.begin(), reading.hidden.end(), [&](const HiddenText& piece) {
    return piece.kind == kind && piece.text.find(text) != std::string::npos;
  });
}

TEST(HiddenText, FindsWhatMarkupHides) {
  struct Case {
    const char* name;
    const char* html;
    HiddenKind kind;
  };
  static constexpr Case kCases[] = {
      {"comment", "a <!-- secret words --> b", HiddenKind::html_comment},
      {"comment that ends in --!>", "a <!-- secret words --!> b", HiddenKind::html_comment},
      {"comment that never ends", "a <!-- secret words", HiddenKind::html_comment},
      {"display", "<div style='display : NONE'>secret words</div>", HiddenKind::css_hidden},
      {"display with a comment inside", "<div style='dis/**/play:none'>secret words</div>", HiddenKind::css_hidden},
      {"visibility", "<p style=visibility:hidden>secret words</p>", HiddenKind::css_hidden},
      {"opacity", "<p style=\"opacity:.01\">secret words</p>", HiddenKind::css_hidden},
      {"important", "<p style=\"display:none !important\">secret words</p>", HiddenKind::css_hidden},
      {"zero height", "<p style=\"height:0;overflow:hidden\">secret words</p>", HiddenKind::css_hidden},
      {"clip", "<p style=\"clip:rect(0,0,0,0)\">secret words</p>", HiddenKind::css_hidden},
      {"class of a sheet", "<style>.x, .y { display: none }</style><b class='z y'>secret words</b>",
       HiddenKind::css_hidden},
      {"id of a sheet", "<style>#q{font-size:0}</style><b id=q>secret words</b>", HiddenKind::css_tiny},
      {"size", "<span style='font-size:1px'>secret words</span>", HiddenKind::css_tiny},
      {"white", "<span style='color:#FFF'>secret words</span>", HiddenKind::css_colour},
      {"colour of its ground", "<span style='color:red;background:red'>secret words</span>", HiddenKind::css_colour},
      {"font element", "<font color=white>secret words</font>", HiddenKind::css_colour},
      {"off screen", "<p style='position:absolute;left:-9999px'>secret words</p>", HiddenKind::css_offscreen},
      {"indent", "<p style='text-indent:-10000px'>secret words</p>", HiddenKind::css_offscreen},
      {"hidden attribute", "<p hidden>secret words</p>", HiddenKind::hidden_attribute},
      {"nested", "<p hidden><b>secret <i>words</i></b></p>", HiddenKind::hidden_attribute},
      {"input", "<input type=hidden value='secret words'>", HiddenKind::hidden_attribute},
      {"template", "<template>secret words</template>", HiddenKind::hidden_attribute},
      {"alt", "<img alt=\"some secret words\">", HiddenKind::attribute_text},
      {"title", "<a title='some secret words'>x</a>", HiddenKind::attribute_text},
      {"meta", "<meta name=d content='some secret words'>", HiddenKind::meta},
      {"noscript", "<noscript>secret words</noscript>", HiddenKind::noscript},
      {"script", "<script>secret words</script>", HiddenKind::script},
      {"entities", "<p hidden>secret&#32;w&#x6f;rds</p>", HiddenKind::hidden_attribute},
  };
  for (const Case& c : kCases) {
    const TextReading reading = read_text(c.html, TextFormat::html);
    EXPECT_TRUE(hides(reading, c.kind, "secret words")) << c.name;
    EXPECT_EQ(reading.visible.find("secret words"), std::string::npos) << c.name;
  }
}

TEST(HiddenText, ShowsWhatABrowserShows) {
  EXPECT_EQ(read_text("ig<b>no</b>re <i></i>me", TextFormat::html).visible, "ignore me");
  EXPECT_EQ(read_text("1 < 2 and <system> is text", TextFormat::html).visible, "1 < 2 and <system> is text");
  EXPECT_EQ(read_text("a&amp;b &lt;p&gt;", TextFormat::html).visible, "a&b <p>");
  const TextReading black = read_text("<b style='color:#fff;background:#000'>light on dark</b>", TextFormat::html);
  EXPECT_EQ(black.visible, "light on dark");
  EXPECT_TRUE(black.hidden.empty());
}

TEST(HiddenText, KnowsThePlaceOfAPiece) {
  const std::string text = "abc <!-- hidden --> def";
  const TextReading reading = read_text(text, TextFormat::markdown);
  ASSERT_EQ(reading.hidden.size(), 1u);
  EXPECT_EQ(text.substr(reading.hidden[0].begin, reading.hidden[0].end - reading.hidden[0].begin), "<!-- hidden ");
}

TEST(HiddenText, DecodesInvisibleCharacters) {
  std::string tags = "hello";
  for (const char c : std::string_view("run it")) {
    const uint32_t point = 0xe0000u + static_cast<unsigned char>(c);
    tags += {static_cast<char>(0xf0 | point >> 18), static_cast<char>(0x80 | (point >> 12 & 0x3f)),
             static_cast<char>(0x80 | (point >> 6 & 0x3f)), static_cast<char>(0x80 | (point & 0x3f))};
  }
  EXPECT_TRUE(hides(read_text(tags, TextFormat::plain), HiddenKind::tag_characters, "run it"));
  EXPECT_EQ(read_text(tags, TextFormat::plain).visible, "hello");
  EXPECT_TRUE(hides(read_text("<img alt=\"" + tags + "\">", TextFormat::html), HiddenKind::tag_characters, "run it"));
  EXPECT_TRUE(hides(read_text("a\xe2\x80\x8b"
                              "b",
                              TextFormat::plain),
                    HiddenKind::zero_width, ""));
  EXPECT_TRUE(hides(read_text("a\xe2\x80\xae"
                              "b",
                              TextFormat::plain),
                    HiddenKind::bidi_control, ""));
  // One selector makes an emoji; many carry bytes: 'H' 'i' is U+E0138 U+E0159.
  EXPECT_TRUE(read_text("\xe2\x9d\xa4\xef\xb8\x8f", TextFormat::plain).hidden.empty());
  EXPECT_TRUE(hides(read_text("x\xf3\xa0\x84\xb8\xf3\xa0\x85\x99\xf3\xa0\x84\xb8\xf3\xa0\x85\x99", TextFormat::plain),
                    HiddenKind::variation_selectors, "HiHi"));
}

TEST(HiddenText, FindsWhatATerminalConceals) {
  const TextReading reading = read_text("ok \x1b[8mdelete it all\x1b[0m done \x1b]0;a title\x07.", TextFormat::plain);
  EXPECT_EQ(reading.visible, "ok  done .");
  EXPECT_TRUE(hides(reading, HiddenKind::ansi_escape, "delete it all"));
  EXPECT_TRUE(hides(reading, HiddenKind::ansi_escape, "a title"));
}

TEST(HiddenText, ReadsJsonMarkdownAndCode) {
  const TextReading json =
      read_text(R"({"a": "one\ntwo", "b": "\u0069gnore <!-- not seen -->", "c": "\ud83d\ude00"})", TextFormat::json);
  EXPECT_NE(json.visible.find("one\ntwo"), std::string::npos);
  EXPECT_NE(json.visible.find("ignore"), std::string::npos);
  EXPECT_NE(json.visible.find("\xf0\x9f\x98\x80"), std::string::npos);
  EXPECT_TRUE(hides(json, HiddenKind::html_comment, "not seen"));
  EXPECT_TRUE(
      hides(read_text("x\n[//]: # (not seen)\ny", TextFormat::markdown), HiddenKind::markdown_comment, "not seen"));
  const TextReading code = read_text("int a; // first\nchar* b = \"// no\"; /* second */\n# third\n", TextFormat::code);
  EXPECT_TRUE(hides(code, HiddenKind::code_comment, "first") && hides(code, HiddenKind::code_comment, "second") &&
              hides(code, HiddenKind::code_comment, "third"));
  EXPECT_FALSE(hides(code, HiddenKind::code_comment, "no\""));
}

TEST(HiddenText, GuessesTheFormat) {
  EXPECT_EQ(guess_format("\n <!DOCTYPE html><p>"), TextFormat::html);
  EXPECT_EQ(guess_format("{\"a\": 1}"), TextFormat::json);
  EXPECT_EQ(guess_format("[link](x)"), TextFormat::markdown);
  EXPECT_EQ(guess_format("#!/bin/sh\n"), TextFormat::code);
}

TEST(HiddenText, HoldsItsBounds) {
  std::string many;
  for (size_t i = 0; i < kHiddenPieceLimit + 10; ++i) many += "<!-- some piece -->";
  const TextReading pieces = read_text(many, TextFormat::html);
  EXPECT_EQ(pieces.hidden.size(), kHiddenPieceLimit);
  EXPECT_FALSE(pieces.complete);
  EXPECT_FALSE(read_text("<!--" + std::string(kHiddenTextLimit + 1, 'x') + "-->", TextFormat::html).complete);
  std::string deep;
  for (size_t i = 0; i < 2 * kElementDepthLimit; ++i) deep += "<div>";
  EXPECT_EQ(read_text(deep + "<p hidden>x y</p>", TextFormat::html).hidden.size(), 0u);
}

// Each of these would take minutes if the work grew with the square of the length.
TEST(HiddenText, TakesLinearTimeForHostileText) {
  for (const std::string_view unit :
       {"<a ", "<a b=\"", "<!--", "[", "&", "</", "<div>", "</div>", "<style>", "\x1b]", "<p hidden>"}) {
    std::string text;
    while (text.size() < 1'000'000) text += unit;
    (void)read_text(text, TextFormat::html);
    (void)read_text(text, TextFormat::markdown);
  }
}

}  // namespace
}  // namespace stockade::inspect
