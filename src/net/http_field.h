// One HTTP field line (RFC 9110, section 5; RFC 9112, section 5), read strictly: a token, a colon at once, a value
// without control characters; no folding. Shared by heads and trailers. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace stockade::net {

struct HttpField {
  std::string name;   // as sent
  std::string value;  // without the white space around it
};

bool is_token(std::string_view text);
bool equals_ignoring_case(std::string_view a, std::string_view b);
std::string lower_case(std::string_view text);

// `line` without its CRLF. A field that decides about framing or routing (Host, Content-Length, Transfer-Encoding) has
// at most one space before its value and none behind; a name that only looks like one of them ("content_length") is
// refused, because servers exist that fold such names together.
Result<HttpField> parse_field_line(std::string_view line);

// The only value of `name`, or the last one; empty when absent. Case does not matter.
const HttpField* find_field(std::span<const HttpField> fields, std::string_view name);
size_t count_fields(std::span<const HttpField> fields, std::string_view name);
// Does a comma-separated list in any field called `name` contain `token`, ignoring case?
bool has_list_token(std::span<const HttpField> fields, std::string_view name, std::string_view token);

// Decides where a message ends or for whom it is: never allowed in a trailer.
bool is_framing_field(std::string_view name);

}  // namespace stockade::net
