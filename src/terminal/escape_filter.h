// EscapeFilter: what an agent writes to its terminal → what the person's terminal gets. Text, colours, cursor and the
// modes of escape_rules.h pass; whatever else acts on the terminal (OSC 52, title and other reports, DCS, APC, PM, SOS,
// window manipulation, media copy, 8-bit controls, ENQ, …) is dropped. Invalid UTF-8 becomes U+FFFD.
//
// A stream: state survives any split, so one byte at a time gives the same output as the whole. Only complete sequences
// are written, so the person's terminal is never left inside of one; and the parse is ours alone: what is dropped is
// never seen by another parser that could read it differently. Memory is bounded (kOscLimit). One owner, one thread.
// It does not judge text: misleading words and look-alike letters pass.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "terminal/escape_rules.h"
#include "terminal/terminal_modes.h"

namespace stockade::terminal {

class EscapeFilter {
 public:
  // Appends to `out` what may pass of `bytes` and of what was held back before.
  void feed(std::string_view bytes, std::string& out);

  // The end of the stream: a character that was cut off becomes U+FFFD; an open sequence is dropped.
  void finish(std::string& out);

  const TerminalModes& modes() const { return modes_; }

 private:
  enum class State {
    ground,
    escape,  // after ESC, collecting intermediates
    csi,
    csi_ignore,  // over-long or malformed, until its final byte
    osc,
    osc_ignore,     // over-long, until its end
    string_ignore,  // DCS, SOS, PM, APC and screen's title: until ST
    palette,        // the Linux console's OSC P: seven bytes, and no terminator
  };

  void step(char byte, std::string& out);
  void step_ground(char byte, std::string& out);
  void step_utf8(char byte, std::string& out);
  void step_escape(char byte, std::string& out);
  void step_csi(char byte, std::string& out);
  void step_string(char byte, std::string& out);
  void end_osc(StringEnd end, std::string& out);
  void enter(State state);

  State state_ = State::ground;
  std::string held_;  // parameters or payload of the open sequence
  size_t palette_left_ = 0;
  bool string_escape_ = false;       // ESC seen inside a string: \ ends it
  std::array<char, 4> character_{};  // an incomplete UTF-8 character
  size_t character_size_ = 0;
  TerminalModes modes_;
};

}  // namespace stockade::terminal
