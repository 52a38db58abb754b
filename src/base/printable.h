// Text of unknown origin, made safe for a person's terminal: used by whatever Stockade prints itself (errors, tables,
// logs, diffs, prompts). Printable text passes; everything else becomes a visible escape: \n, \t, \r, \e, \xNN for
// other control and invalid bytes, \u{N} for invisible, reordering and private code points and odd spaces. A backslash
// becomes two, so different texts never look alike. It does not judge look-alike letters of different scripts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace stockade {

// One code point read from the front of `text`; length 0 where the bytes are not UTF-8 (RFC 3629: no overlong forms,
// no surrogates), or where `text` ends inside of a character.
struct CodePoint {
  uint32_t value = 0;
  size_t length = 0;
};
CodePoint decode_utf8(std::string_view text);

// Visible, or the plain space: no control, format, bidirectional, private-use or noncharacter code point, no odd space.
bool is_printable(uint32_t code_point);

std::string escape_for_terminal(std::string_view text);

}  // namespace stockade
