// What may reach the person's terminal: judgements about one complete control sequence or string, as values. A list of
// what passes, never of what doesn't: an unknown sequence is dropped. Facts: ECMA-48, xterm's ctlseqs,
// console_codes(4), the specifications of OSC 8, OSC 133 and the kitty keyboard. Each function returns the bytes to
// write (rebuilt from what was understood, not the agent's own), empty for none, and tells TerminalModes what changed.
#pragma once

#include <string>
#include <string_view>

#include "terminal/terminal_modes.h"

namespace stockade::terminal {

inline constexpr size_t kCsiLimit = 128;    // bytes of parameters and intermediates
inline constexpr size_t kTitleLimit = 256;  // bytes of UTF-8
inline constexpr size_t kLinkLimit = 2048;  // bytes of a URI
inline constexpr size_t kOscLimit = 4096;   // bytes of a payload that is worth reading

enum class StringEnd { bel, st };  // replies mirror how the question ended

// `body`: parameter bytes (0x30-0x3f) and intermediates (0x20-0x2f) as they came; `final_byte` 0x40-0x7e.
std::string judge_csi(std::string_view body, char final_byte, TerminalModes& modes);

// ESC, intermediates, final byte.
std::string judge_escape(std::string_view intermediates, char final_byte, TerminalModes& modes);

// The payload between ESC ] and its terminator.
std::string judge_osc(std::string_view payload, StringEnd end, TerminalModes& modes);

// The C0 controls that pass as they are: BEL BS HT LF VT FF CR SO SI.
bool is_allowed_control(char byte);

}  // namespace stockade::terminal
