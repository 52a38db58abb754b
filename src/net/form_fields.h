// Forms and multipart bodies, where requests hide other requests: application/x-www-form-urlencoded (WHATWG URL,
// section 5), multipart/* (RFC 2046, 5.1; RFC 7578), and the media type that says which. What servers read differently
// is an error: a boundary that is no token, bare line ends, an unfinished percent escape, a body that ends before its
// last boundary. Pure, any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "net/http_field.h"

namespace stockade::net {

inline constexpr size_t kFormFieldLimit = 1024;
inline constexpr size_t kPartLimit = 1024;
inline constexpr size_t kPartHeadLimit = 8 * 1024;

struct MediaType {
  std::string type;                                             // "application/json", lower case
  std::vector<std::pair<std::string, std::string>> parameters;  // names in lower case, values unquoted

  std::string_view parameter(std::string_view name) const;
  bool is_json() const;  // application/json, text/json and every "+json"
};
// An empty text is an empty type.
Result<MediaType> parse_media_type(std::string_view text);

struct FormField {
  std::string name;
  std::string value;
  bool operator==(const FormField&) const = default;
};
Result<std::vector<FormField>> parse_urlencoded(std::string_view text);

struct Part {
  std::vector<HttpField> fields;
  std::string_view content;  // into the body

  // name="x" of its Content-Disposition; empty where it has none.
  std::string name() const;
};
Result<std::vector<Part>> parse_multipart(std::string_view body, std::string_view boundary);

}  // namespace stockade::net
