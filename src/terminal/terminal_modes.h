// What an agent has switched on in the person's terminal, so that it can be undone when the agent ends or is frozen (a
// killed agent does not clean up), and redone when it goes on. Fed by EscapeFilter with what it lets through; holds
// values only. Kitty keyboard flags live on one stack per screen, and the terminal's stacks may hold entries that are
// not ours: the filter asks may_pop() and may_push() first, so an agent pops only what it pushed. Sources: xterm's
// ctlseqs, kitty's keyboard protocol.
#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace stockade::terminal {

class TerminalModes {
 public:
  // DEC private modes that may pass (CSI ? N h and l).
  static bool is_allowed_private_mode(unsigned mode);

  void set_private_mode(unsigned mode, bool on);
  void set_insert_mode(bool on) { insert_ = on; }
  void set_keypad_application(bool on) { keypad_ = on; }
  void set_cursor_style(unsigned style) { cursor_style_ = style; }
  void set_scroll_region(bool whole_screen) { region_ = !whole_screen; }
  void set_modify_other_keys(unsigned value) { modify_other_keys_ = value; }
  void touch_charset() { charset_ = true; }
  void touch_attributes() { attributes_ = true; }
  void change_foreground() { foreground_ = true; }
  void change_background() { background_ = true; }
  // OSC 110 and 111: only what the agent has changed is put back; else the colours are the person's.
  bool put_back_foreground() { return std::exchange(foreground_, false); }
  bool put_back_background() { return std::exchange(background_, false); }
  void set_link_open(bool open) { link_ = open; }

  bool may_push_keyboard() const { return keyboard().size() < kKeyboardDepth; }
  void push_keyboard(unsigned flags) { keyboard().push_back(flags); }
  size_t pop_keyboard(size_t count);  // how many of `count` may be popped; they are forgotten
  // CSI = flags ; mode u changes the newest entry: only when it is the agent's own.
  bool may_change_keyboard() const { return !keyboard().empty(); }
  void change_keyboard(unsigned flags, unsigned how);

  // Brings the terminal back to what it was as far as we changed it; empty when nothing is changed. Nothing is
  // forgotten.
  std::string reset_sequence() const;
  // After reset_sequence(): what the agent believes is on. The screen's content is for the agent to draw again.
  std::string restore_sequence() const;
  void forget() { *this = TerminalModes(); }

 private:
  static constexpr size_t kKeyboardDepth = 8;  // kitty keeps at least 8 and drops the oldest: never reach that

  bool on_alternate_screen() const;
  std::vector<unsigned>& keyboard() { return keyboard_[on_alternate_screen()]; }
  const std::vector<unsigned>& keyboard() const { return keyboard_[on_alternate_screen()]; }

  std::map<unsigned, bool> changed_;  // private modes that are not at their default; a handful
  std::array<std::vector<unsigned>, 2> keyboard_;
  unsigned cursor_style_ = 0;
  unsigned modify_other_keys_ = 0;
  bool insert_ = false;
  bool keypad_ = false;
  bool region_ = false;
  bool charset_ = false;
  bool attributes_ = false;
  bool foreground_ = false;
  bool background_ = false;
  bool link_ = false;
};

}  // namespace stockade::terminal
