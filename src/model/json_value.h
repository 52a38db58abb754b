// Walking through JSON that a JsonCursor has read: values by key and index, their byte ranges and JSON pointers
// (RFC 6901). Nothing is copied; a JsonValue and what it returns live as long as the document and its text. A value
// that is not there is a JsonValue that is false, and everything asked of it is empty.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "model/json_cursor.h"

namespace stockade::model {

struct ByteRange {
  size_t begin = 0;
  size_t end = 0;
  bool operator==(const ByteRange&) const = default;
  bool contains(const ByteRange& other) const { return begin <= other.begin && other.end <= end; }
};

// The inside of a string as it stands in the text, decoded when asked.
struct JsonString {
  std::string_view raw;  // without the quotes
  bool escaped = false;  // raw has backslashes: it is not yet the text that it means

  bool empty() const { return raw.empty(); }
  // A lone surrogate is a protocol error.
  Result<std::string> decode() const;
  bool equals(std::string_view text) const;
};

class JsonDocument;

class JsonValue {
 public:
  JsonValue() = default;
  JsonValue(const JsonDocument* document, uint32_t node) : document_(document), node_(node) {}

  explicit operator bool() const { return node_ != kNoNode; }
  bool is(JsonType type) const { return *this && node().type == type; }
  bool is_object() const { return is(JsonType::object); }
  bool is_array() const { return is(JsonType::array); }
  bool is_string() const { return is(JsonType::string); }
  bool is_true() const { return is(JsonType::true_value); }
  bool is_null() const { return is(JsonType::null_value); }

  const JsonNode& node() const;
  uint32_t id() const { return node_; }
  ByteRange range() const;       // with the quotes of a string
  std::string_view raw() const;  // the bytes of range()
  size_t size() const { return *this ? node().count : 0; }

  // The member of that name (compared decoded), the first element, the next of either.
  JsonValue operator[](std::string_view key) const;
  JsonValue first() const;
  JsonValue next() const;
  JsonValue parent() const;
  JsonString key() const;       // of a member's value
  ByteRange key_range() const;  // with its quotes
  bool is_member() const;

  JsonString text() const;  // of a string; empty for anything else
  bool equals(std::string_view text) const { return is_string() && this->text().equals(text); }
  // A whole number that is not negative; none for anything else.
  std::optional<uint64_t> number() const;
  std::string pointer() const;

 private:
  const JsonDocument* document_ = nullptr;
  uint32_t node_ = kNoNode;
};

// Text and its nodes. The text is the caller's and stays where it is.
class JsonDocument {
 public:
  explicit JsonDocument(JsonLimits limits = {}) : cursor_(limits) {}
  JsonDocument(const JsonDocument&) = delete;
  JsonDocument& operator=(const JsonDocument&) = delete;
  JsonDocument(JsonDocument&&) noexcept = default;  // JsonValues of it no longer hold
  JsonDocument& operator=(JsonDocument&&) noexcept = default;

  // Reads a whole text; memory of the last one is used again.
  Result<void> read(std::string_view text);
  JsonValue root() const { return {this, cursor_.nodes().empty() ? kNoNode : 0}; }
  std::string_view text() const { return text_; }
  const JsonNode& node(uint32_t which) const { return cursor_.nodes()[which]; }
  const std::vector<JsonNode>& nodes() const { return cursor_.nodes(); }

 private:
  std::string_view text_;
  JsonCursor cursor_;
};

// The value that has exactly that range, or none.
JsonValue find_range(const JsonDocument& document, ByteRange range);

// The value that an RFC 6901 pointer names, or none.
JsonValue find_pointer(const JsonDocument& document, std::string_view pointer);

// Text as a JSON string with its quotes, all ASCII controls escaped. Bytes that are not UTF-8 become U+FFFD.
std::string json_quoted(std::string_view text);

}  // namespace stockade::model
