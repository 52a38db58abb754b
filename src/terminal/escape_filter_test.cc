#include "terminal/escape_filter.h"

#include <gtest/gtest.h>

#include <random>

#include "base/printable.h"

namespace stockade::terminal {
namespace {

using namespace std::string_literals;

std::string filter(std::string_view bytes) {
  EscapeFilter escape_filter;
  std::string out;
  escape_filter.feed(bytes, out);
  escape_filter.finish(out);
  return out;
}

std::string filter_bytewise(std::string_view bytes) {
  EscapeFilter escape_filter;
  std::string out;
  for (const char byte : bytes) escape_filter.feed({&byte, 1}, out);
  escape_filter.finish(out);
  return out;
}

// clang-format off: a group a line reads better here.
TEST(EscapeFilter, PassesTextColoursCursorAndModes) {
  for (const std::string& text : {
           "plain\r\n\ttext\b\a"s,
           "grüße 日本語 🦊 e\xcc\x81"s,
           "\x1b[1;31mred\x1b[0m \x1b[38;2;1;2;3m \x1b[4:3m \x1b[38:5:196m"s,
           "\x1b[H\x1b[2J\x1b[10;20H\x1b[K\x1b[3A\x1b[5X\x1b[2;20r\x1b[4h\x1b[4l"s,
           "\x1b[?1049h\x1b[?25l\x1b[?2004h\x1b[?1000h\x1b[?1006h\x1b[?1004h\x1b[?2026h\x1b[?2026l"s,
           "\x1b[6n\x1b[c\x1b[0c\x1b[>c\x1b[>q\x1b[5n\x1b[?6n\x1b[?u\x1b[?2026$p"s,
           "\x1b[>1u\x1b[=3;1u\x1b[<1u"s,
           "\x1b[2 q\x1b[!p\x1b" "7\x1b" "8\x1b=\x1b>\x1bM\x1b(0lqk\x1b(B\x0e\x0f"s,
           "\x1b]0;a title\x07\x1b]2;ein Träum\x1b\\"s,
           "\x1b]8;;https://example.com/a?b=c\x1b\\link\x1b]8;;\x1b\\"s,
           "\x1b]8;id=x1;http://example.com/\x07link\x1b]8;;\x07"s,
           "\x1b]10;?\x07\x1b]11;?\x1b\\\x1b]11;rgb:00/11/ff\x07"s,
           "\x1b]133;A\x07\x1b]133;D;127\x07\x1b]133;A;k=s\x07"s,
       })
    EXPECT_EQ(filter(text), text) << escape_for_terminal(text);
}

TEST(EscapeFilter, DropsWhatActsOnThePersonsTerminal) {
  for (const std::string& text : {
           "\x1b]52;c;cm0gLXJmIH4=\x07"s, "\x1b]52;c;?\x1b\\"s, "\x1b]052;c;AAAA\x07"s,           // clipboard
           "\x1b[21t"s, "\x1b[20t"s, "\x1b[8;5;5t"s, "\x1b[t"s, "\x1b[22;0t"s, "\x1b[>2t"s,         // window, titles
           "\x1bP$qm\x1b\\"s, "\x1bP+q544e\x1b\\"s, "\x1bP0;1|17/41\x1b\\"s, "\x1bPq#0~\x1b\\"s,      // DCS
           "\x1b_Ga=T;AAAA\x1b\\"s, "\x1b^private\x1b\\"s, "\x1bXstring\x1b\\"s, "\x1bkname\x1b\\"s,
           "\x1b]4;1;?\x07"s, "\x1b]7;file:///x\x07"s, "\x1b]9;note\x07"s, "\x1b]777;notify;a;b\x07"s,
           "\x1b]1337;File=:AAAA\x07"s, "\x1b]50;#1\x07"s, "\x1b]1;icon\x07"s, "\x1b]l\x1b\\"s, "\x1b]\x07"s,
           "\x05"s, "\0"s, "\x7f"s, "\x11\x13"s,                                             // answerback, flow
           "\x1b[i"s, "\x1b[5i"s, "\x1b[?4i"s,                                                // printer
           "\x1b[?3h"s, "\x1b[?1001h"s, "\x1b[2h"s, "\x1b[12l"s, "\x1b[?69h"s,
           "\x1b[\"p"s, "\x1b[62;1\"p"s, "\x1b[x"s, "\x1b[=c"s, "\x1b[1$w"s, "\x1b[1;1;5;5$r"s, "\x1b[2*y"s,
           "\x1b[1;2;3;4;5T"s, "\x1b[99999b"s, "\x1b[123456A"s, "\x1b[:A"s,
           "\x1b#8"s, "\x1b%@"s, "\x1b%G"s, "\x1b F"s, "\x1bn"s, "\x1bZ"s, "\x1bN"s, "\x1b(A"s, "\x1b\\"s,
           "\x1b[" + std::string(200, '1') + "m"s, "\x1b[" + std::string(2000, ';') + "m"s,
           "\x1b]133;C;cmdline=rm\x07"s, "\x1b]11;rgb:0;?\x07"s, "\x1b]PFFFFFFF"s, "\x1b]R"s,
           "\x1b[<1u"s,                                                                       // not its own entry
       })
    EXPECT_EQ(filter(text), "") << escape_for_terminal(text);
}
// clang-format on

TEST(EscapeFilter, ShowsInvalidBytesAndEightBitControlsAsReplacements) {
  const std::string replaced = "\xef\xbf\xbd";
  EXPECT_EQ(filter("a\x9b"
                   "31mb"),
            "a" + replaced + "31mb");
  EXPECT_EQ(filter("\xc2\x9b"
                   "31m"),
            replaced + "31m")
      << "CSI spelled in UTF-8";
  EXPECT_EQ(filter("\xc2\x9d"
                   "52;c;A\x07"),
            replaced + "52;c;A\x07");
  EXPECT_EQ(filter("\x90q\x9c"), replaced + "q" + replaced);
  EXPECT_EQ(filter("\xe2\x82"), replaced) << "cut off";
  EXPECT_EQ(filter("\xe2\x82\x1b[m"), replaced + "\x1b[m");
  EXPECT_EQ(filter("\xc0\xaf"), replaced + replaced);
  EXPECT_EQ(filter("\xed\xa0\x80"), replaced);
}

TEST(EscapeFilter, CleansTitles) {
  EXPECT_EQ(filter("\x1b]0;a\nb\x01\xe2\x80\xae"
                   "c\xc2\x9b\x07"),
            "\x1b]0;abc\x07");
  const std::string longest = filter("\x1b]2;" + std::string(255, 'a') + "é\x07");
  EXPECT_EQ(longest, "\x1b]2;" + std::string(255, 'a') + "\x07") << "cut at a whole character";
  EXPECT_EQ(filter("\x1b]2;" + std::string(5000, 'a') + "\x07z"), "z");
}

TEST(EscapeFilter, LinksGoToTheWebOnlyAndOthersEndTheLinkBefore) {
  const std::string end = "\x1b]8;;\x07";
  for (const char* uri : {"file:///etc/passwd", "javascript:alert(1)", "ssh://host", "vscode://x", "https://",
                          "http://a b", "https://ex\xc3\xa4mple/", "x-man-page://ls"})
    EXPECT_EQ(filter("\x1b]8;;"s + uri + "\x07"), end) << uri;
  EXPECT_EQ(filter("\x1b]8;id=a:b;HTTPS://x\x07"), "\x1b]8;;HTTPS://x\x07") << "an unclean id is left out";
  EXPECT_EQ(filter("\x1b]8;;https://" + std::string(2100, 'x') + "\x07"), end);
}

TEST(EscapeFilter, KeepsTheAllowedModesOfAMixedSequence) { EXPECT_EQ(filter("\x1b[?3;25;9001l"), "\x1b[?25l"); }

TEST(EscapeFilter, AbandonedSequencesSwallowNothingAfterThem) {
  EXPECT_EQ(filter("\x1b[31\x18text"), "text");
  EXPECT_EQ(filter("\x1b]52;c;\x1b[31mred"), "\x1b[31mred");
  EXPECT_EQ(filter("\x1bPq\x1b[1mbold"), "\x1b[1mbold");
  EXPECT_EQ(filter("\x1b\x1b[1m"), "\x1b[1m");
  EXPECT_EQ(filter("\x1b[3\n1m"), "\n\x1b[31m") << "a control inside a sequence is obeyed at once";
  EXPECT_EQ(filter("\x1b[3é"), "é");
  EXPECT_EQ(filter("\x1b]0;open"), "") << "an open string is never written";
  EXPECT_EQ(filter("\x1b_\x1b\x1b\\x"), "x");
}

TEST(EscapeFilter, AHardResetUndoesWhatTheAgentDidAndClears) {
  EXPECT_EQ(filter("\x1b[?25l\x1b"
                   "c"),
            "\x1b[?25l\x1b[?25h\x1b[!p\x1b[2J\x1b[H");
  const std::string once = filter(
      "\x1b]11;red\x07\x1b]10;red\x07\x1b"
      "c");
  EXPECT_EQ(filter(once), once) << "what undoes a colour passes our own filter";
}

TEST(EscapeFilter, AColourIsPutBackOnlyByWhomItWasChanged) {
  EXPECT_EQ(filter("\x1b]11;red\x07\x1b]111\x07"), "\x1b]11;red\x07\x1b]111\x1b\\");
  EXPECT_EQ(filter("\x1b]10;red\x07\x1b]110\x1b\\"), "\x1b]10;red\x07\x1b]110\x1b\\");
  EXPECT_EQ(filter("\x1b]110\x07\x1b]111\x1b\\"), "") << "the colours are the person's";
  EXPECT_EQ(filter("\x1b]10;red\x07\x1b]111\x07"), "\x1b]10;red\x07") << "the other one is the person's";
  EXPECT_EQ(filter("\x1b]11;?\x07\x1b]111\x07"), "\x1b]11;?\x07") << "to ask changes nothing";
  EXPECT_EQ(filter("\x1b]11;red\x07\x1b]111;x\x07"), "\x1b]11;red\x07") << "it has no parameter";
}

// --- properties over random and hostile input ------------------------------------------------------------------------

std::string random_stream(std::mt19937& random) {
  static const std::vector<std::string> kPieces = {
      "\x1b", "\x1b[",    "\x1b]", "\x1bP", "\x1b_", "\x1b\\",    "\x07",       "\x9b",   "\x9c",
      "\x9d", "\xc2\x9b", "52;c;", "0;",    "8;;",   "https://x", "?1049",      "h",      "l",
      "m",    "t",        "i",     "21",    "6n",    ">1u",       "<5u",        "=1;2u",  "?",
      ";",    ":",        "$",     "$q",    " q",    "\x18",      "\x1a",       "\x05",   "\n",
      "é",    "\xe2\x82", "\xff",  "\x7f",  "k",     "X",         "c",          "133;",   "A",
      "10;?", "P",        "R",     "(0",    "!p",    "999999",    "11;red\x07", "111\x07"};
  std::string out;
  for (int pieces = 1 + random() % 24; pieces > 0; --pieces) {
    if (random() % 8 == 0)
      out += static_cast<char>(random());
    else
      out += kPieces[random() % kPieces.size()];
  }
  return out;
}

TEST(EscapeFilter, GivesTheSameOutputHoweverTheInputIsSplit) {
  std::mt19937 random(1);
  for (int round = 0; round < 20000; ++round) {
    const std::string text = random_stream(random);
    ASSERT_EQ(filter(text), filter_bytewise(text)) << escape_for_terminal(text);
  }
}

TEST(EscapeFilter, NeverEmitsWhatItWouldDropItself) {
  std::mt19937 random(2);
  for (int round = 0; round < 20000; ++round) {
    const std::string text = random_stream(random);
    const std::string once = filter(text);
    ASSERT_EQ(filter(once), once) << escape_for_terminal(text) << " gave " << escape_for_terminal(once);
    for (const char* bad : {"\x1bP", "\x1b_", "\x1b^", "\x1bX", "\x1b]52", "\x05", "\x1b[21t", "\x7f"})
      ASSERT_EQ(once.find(bad), std::string::npos) << escape_for_terminal(text);
  }
}

// --- modes -----------------------------------------------------------------------------------------------------------

std::string reset_after(std::string_view bytes) {
  EscapeFilter escape_filter;
  std::string out;
  escape_filter.feed(bytes, out);
  return escape_filter.modes().reset_sequence();
}

TEST(TerminalModes, ResetUndoesExactlyWhatIsStillOn) {
  EXPECT_EQ(reset_after("text \x1b[2K"), "");
  EXPECT_EQ(reset_after("\x1b[?25l\x1b[?25h\x1b[?1049h\x1b[?1049l\x1b=\x1b>"), "");
  EXPECT_EQ(reset_after("\x1b[?1049h\x1b[?25l\x1b[?2004h"), "\x1b[?25h\x1b[?2004l\x1b[?1049l");
  EXPECT_EQ(reset_after("\x1b[31m\x1b[4 q"), "\x1b[0 q\x1b[0m");
  EXPECT_EQ(reset_after("\x1b]11;red\x07"), "\x1b]111\x1b\\");
  EXPECT_EQ(reset_after("\x1b]11;red\x07\x1b]111\x07"), "");
  EXPECT_EQ(reset_after("\x1b]8;;https://x\x07"), "\x1b]8;;\x1b\\");
}

TEST(TerminalModes, PopsOnEachScreenOnlyTheKeyboardEntriesOfTheAgent) {
  EXPECT_EQ(filter("\x1b[>1u\x1b[<9u\x1b[<u"), "\x1b[>1u\x1b[<1u");
  EXPECT_EQ(reset_after("\x1b[>1u\x1b[?1049h\x1b[>3u\x1b[>5u"), "\x1b[<2u\x1b[?1049l\x1b[<1u");
  EXPECT_EQ(filter("\x1b[=1u"), "") << "the newest entry is the person's";
}

TEST(TerminalModes, RestoreBringsBackWhatResetUndid) {
  EscapeFilter first, second;
  std::string out;
  first.feed("\x1b[>1u\x1b[?1049h\x1b[>3u\x1b[?25l\x1b[?2004h\x1b[?1006h\x1b=\x1b[4 q\x1b[>4;2m", out);
  const std::string restore = first.modes().restore_sequence();
  EXPECT_EQ(filter(restore), restore) << "ours passes our own filter";
  second.feed(restore, out);
  EXPECT_EQ(second.modes().reset_sequence(), first.modes().reset_sequence());
}

}  // namespace
}  // namespace stockade::terminal
