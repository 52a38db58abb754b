#include "terminal/terminal_modes.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace stockade::terminal {
namespace {

constexpr unsigned kAlternateScreens[] = {47, 1047, 1049};

// 1 cursor keys, 5 reverse video, 6 origin, 7 wrap, 9 and 100x mouse, 12 blink, 25 cursor, 66 keypad, 1004 focus, 1007
// wheel as arrows, 1048 saved cursor, 2004 bracketed paste, 2026 synchronized output, 2027 grapheme clusters, 2031
// colour-scheme reports, 2048 in-band resize. Not 3 (resizes the window), 69, 1001 (hangs xterm), 1034.
constexpr unsigned kAllowed[] = {1,    5,    6,    7,    9,    12,   25,   47,   66,   1000, 1002, 1003, 1004,
                                 1005, 1006, 1007, 1015, 1016, 1047, 1048, 1049, 2004, 2026, 2027, 2031, 2048};

bool is_alternate_screen(unsigned mode) {
  return std::find(std::begin(kAlternateScreens), std::end(kAlternateScreens), mode) != std::end(kAlternateScreens);
}

bool default_of(unsigned mode) { return mode == 7 || mode == 25; }

}  // namespace

bool TerminalModes::is_allowed_private_mode(unsigned mode) {
  return std::binary_search(std::begin(kAllowed), std::end(kAllowed), mode);
}

void TerminalModes::set_private_mode(unsigned mode, bool on) {
  // 1048 saves the cursor and 12 has no common default: neither can be put back.
  if (mode == 1048 || mode == 12) return;
  if (is_alternate_screen(mode)) {
    if (!on) keyboard_[1].clear();
    for (unsigned other : kAlternateScreens) changed_.erase(other);
  }
  if (on == default_of(mode))
    changed_.erase(mode);
  else
    changed_[mode] = on;
}

bool TerminalModes::on_alternate_screen() const {
  return std::any_of(std::begin(kAlternateScreens), std::end(kAlternateScreens),
                     [this](unsigned mode) { return changed_.contains(mode); });
}

size_t TerminalModes::pop_keyboard(size_t count) {
  auto& stack = keyboard();
  count = std::min(count, stack.size());
  stack.resize(stack.size() - count);
  return count;
}

void TerminalModes::change_keyboard(unsigned flags, unsigned how) {
  unsigned& newest = keyboard().back();
  newest = how == 2 ? newest | flags : how == 3 ? newest & ~flags : flags;
}

std::string TerminalModes::reset_sequence() const {
  std::string out;
  const auto put = [&out](std::string_view text) { out += text; };
  if (link_) put("\x1b]8;;\x1b\\");
  if (modify_other_keys_) put("\x1b[>4m");
  if (cursor_style_) put("\x1b[0 q");
  if (insert_) put("\x1b[4l");
  if (keypad_) put("\x1b>");
  if (charset_) put("\x0f\x1b(B\x1b)B");
  if (attributes_) put("\x1b[0m");
  const bool alternate = on_alternate_screen();
  // Setting the region moves the cursor home; where the screen is left anyway, its saved cursor is not to be touched.
  if (region_)
    put(alternate ? "\x1b[r"
                  : "\x1b"
                    "7\x1b[r\x1b"
                    "8");
  if (foreground_) put("\x1b]110\x1b\\");
  if (background_) put("\x1b]111\x1b\\");
  // The alternate screen's keyboard stack can only be popped while on it, so leave it last.
  if (!keyboard().empty()) fmt::format_to(std::back_inserter(out), "\x1b[<{}u", keyboard().size());
  for (const auto& [mode, on] : changed_)
    if (!is_alternate_screen(mode)) fmt::format_to(std::back_inserter(out), "\x1b[?{}{}", mode, on ? 'l' : 'h');
  for (const auto& [mode, on] : changed_)
    if (is_alternate_screen(mode)) fmt::format_to(std::back_inserter(out), "\x1b[?{}l", mode);
  if (alternate && !keyboard_[0].empty()) fmt::format_to(std::back_inserter(out), "\x1b[<{}u", keyboard_[0].size());
  return out;
}

std::string TerminalModes::restore_sequence() const {
  std::string out;
  const auto push = [&out](const std::vector<unsigned>& stack) {
    for (unsigned flags : stack) fmt::format_to(std::back_inserter(out), "\x1b[>{}u", flags);
  };
  push(keyboard_[0]);
  for (const auto& [mode, on] : changed_)
    if (is_alternate_screen(mode)) fmt::format_to(std::back_inserter(out), "\x1b[?{}h", mode);
  if (on_alternate_screen()) push(keyboard_[1]);
  for (const auto& [mode, on] : changed_) {
    // A synchronized update that was open is over: the screen it described is gone.
    if (!is_alternate_screen(mode) && mode != 2026)
      fmt::format_to(std::back_inserter(out), "\x1b[?{}{}", mode, on ? 'h' : 'l');
  }
  if (modify_other_keys_) fmt::format_to(std::back_inserter(out), "\x1b[>4;{}m", modify_other_keys_);
  if (cursor_style_) fmt::format_to(std::back_inserter(out), "\x1b[{} q", cursor_style_);
  if (insert_) out += "\x1b[4h";
  if (keypad_) out += "\x1b=";
  return out;
}

}  // namespace stockade::terminal
