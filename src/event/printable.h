// Text that somebody else chose, made safe to store and to show. Input is bytes: valid UTF-8 of printable characters
// passes; controls, bidirectional and invisible characters, odd spaces, private use and non-characters are written
// as escapes; a byte that is not UTF-8 becomes the four characters \xHH. Both functions are pure and bounded.
// The list follows Unicode 15 (categories Cc, Cf, Zl, Zp, Zs but U+0020, Co, Cn where fixed) and UTS #39.
#pragma once

#include <string>
#include <string_view>

namespace stockade::event {

struct CodePoint {
  char32_t value = 0;
  int size = 0;  // bytes taken; 0: the first byte is not UTF-8
};
// Decodes the first character of non-empty `bytes` by RFC 3629: no overlong forms, no surrogates.
CodePoint first_code_point(std::string_view bytes);

bool is_printable(char32_t value);

// Appends `text` as the inside of a JSON string, at most `limit` bytes of output; what is longer is cut between two
// characters and ends in "…". Decoding and appending again gives the same bytes.
void append_json_text(std::string& out, std::string_view text, size_t limit);

// For a terminal or a plain text file: escapes as \u{202e}, so that nothing moves the cursor or reorders the line.
std::string display_text(std::string_view text);

}  // namespace stockade::event
