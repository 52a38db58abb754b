// Text that somebody else chose, made safe to store in a record and to show from one. What base/printable.h calls
// printable passes; every other character is written as an escape, and a byte that is not UTF-8 becomes the four
// characters \xHH. Both functions are pure; the first is bounded.
#pragma once

#include <string>
#include <string_view>

namespace stockade::event {

// Appends `text` as the inside of a JSON string, at most `limit` bytes of output; what is longer is cut between two
// characters and ends in "…". Decoding and appending again gives the same bytes.
void append_json_text(std::string& out, std::string_view text, size_t limit);

// For a terminal or a plain text file: escapes as \u{202e}, so that nothing moves the cursor or reorders the line.
// Backslashes stay single: the stored text has its \xHH already.
std::string display_text(std::string_view text);

}  // namespace stockade::event
