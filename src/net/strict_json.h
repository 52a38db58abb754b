// JSON (RFC 8259) as a value, read so that no other reader can see something else: a name that is there twice, invalid
// UTF-8, half a surrogate pair, a byte order mark, anything behind the value are errors. For requests that rules judge
// by what they say; not the hot path. Pure, any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace stockade::net {

struct JsonLimits {
  size_t depth = 64;
  size_t values = 64 * 1024;  // some 100 bytes each, besides their text
};

enum class JsonKind : uint8_t { null, boolean, number, string, array, object };

struct JsonValue {
  JsonKind kind = JsonKind::null;
  std::string text;                // of a string: decoded; of a number: as it was written; "true" or "false"
  std::vector<std::string> names;  // of an object, beside `items`
  std::vector<JsonValue> items;    // of an array or object

  bool is(JsonKind wanted) const { return kind == wanted; }
  const JsonValue* find(std::string_view name) const;
};

Result<JsonValue> parse_strict_json(std::string_view text, JsonLimits limits = {});

}  // namespace stockade::net
