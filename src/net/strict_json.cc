#include "net/strict_json.h"

#include <algorithm>
#include <optional>

#include "base/printable.h"

namespace stockade::net {

namespace {

std::unexpected<Error> refuse(std::string_view reason) { return fail(ErrorKind::protocol, "JSON with {}", reason); }

bool is_digit(char c) { return c >= '0' && c <= '9'; }

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void append_utf8(std::string& out, uint32_t point) {
  if (point < 0x80) {
    out.push_back(static_cast<char>(point));
  } else if (point < 0x800) {
    out.push_back(static_cast<char>(0xc0 | point >> 6));
    out.push_back(static_cast<char>(0x80 | (point & 0x3f)));
  } else if (point < 0x10000) {
    out.push_back(static_cast<char>(0xe0 | point >> 12));
    out.push_back(static_cast<char>(0x80 | (point >> 6 & 0x3f)));
    out.push_back(static_cast<char>(0x80 | (point & 0x3f)));
  } else {
    out.push_back(static_cast<char>(0xf0 | point >> 18));
    out.push_back(static_cast<char>(0x80 | (point >> 12 & 0x3f)));
    out.push_back(static_cast<char>(0x80 | (point >> 6 & 0x3f)));
    out.push_back(static_cast<char>(0x80 | (point & 0x3f)));
  }
}

class Reader {
 public:
  Reader(std::string_view text, JsonLimits limits) : rest_(text), limits_(limits) {}

  Result<JsonValue> read() {
    JsonValue value;
    STOCKADE_TRY(read_value(value, 0));
    skip_space();
    if (!rest_.empty()) return refuse("something behind its value");
    return value;
  }

 private:
  void skip_space() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\t' || rest_[0] == '\n' || rest_[0] == '\r'))
      rest_.remove_prefix(1);
  }
  bool take(char c) {
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool take_word(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }

  Result<void> read_value(JsonValue& value, size_t depth) {
    if (++values_ > limits_.values) return fail(ErrorKind::limit, "JSON with too many values");
    if (depth > limits_.depth) return fail(ErrorKind::limit, "JSON with too many levels");
    skip_space();
    if (rest_.empty()) return refuse("a value that is missing");
    const char c = rest_[0];
    if (c == '{') return read_object(value, depth);
    if (c == '[') return read_array(value, depth);
    if (c == '"') {
      value.kind = JsonKind::string;
      return read_string(value.text);
    }
    if (c == '-' || is_digit(c)) return read_number(value);
    if (take_word("null")) return {};
    value.kind = JsonKind::boolean;
    if (take_word("true")) {
      value.text = "true";
    } else if (take_word("false")) {
      value.text = "false";
    } else {
      return refuse("an unknown word");
    }
    return {};
  }

  Result<void> read_array(JsonValue& value, size_t depth) {
    value.kind = JsonKind::array;
    take('[');
    skip_space();
    if (take(']')) return {};
    for (;;) {
      STOCKADE_TRY(read_value(value.items.emplace_back(), depth + 1));
      skip_space();
      if (take(']')) return {};
      if (!take(',')) return refuse("an array that does not end");
    }
  }

  Result<void> read_object(JsonValue& value, size_t depth) {
    value.kind = JsonKind::object;
    take('{');
    skip_space();
    if (take('}')) return {};
    for (;;) {
      skip_space();
      if (rest_.empty() || rest_[0] != '"') return refuse("a member without a name");
      STOCKADE_TRY(read_string(value.names.emplace_back()));
      skip_space();
      if (!take(':')) return refuse("a member without a value");
      STOCKADE_TRY(read_value(value.items.emplace_back(), depth + 1));
      skip_space();
      if (take('}')) break;
      if (!take(',')) return refuse("an object that does not end");
    }
    std::vector<std::string_view> names(value.names.begin(), value.names.end());
    std::sort(names.begin(), names.end());
    if (std::adjacent_find(names.begin(), names.end()) != names.end()) return refuse("a name that is there twice");
    return {};
  }

  Result<void> read_number(JsonValue& value) {
    value.kind = JsonKind::number;
    const auto begin = rest_;
    const auto digits = [this] {
      size_t count = 0;
      for (; !rest_.empty() && is_digit(rest_[0]); ++count) rest_.remove_prefix(1);
      return count;
    };
    take('-');
    const bool zero = !rest_.empty() && rest_[0] == '0';
    const size_t whole = digits();
    if (whole == 0 || (zero && whole > 1)) return refuse("a malformed number");
    if (take('.') && digits() == 0) return refuse("a malformed number");
    if (take('e') || take('E')) {
      if (!take('+')) take('-');
      if (digits() == 0) return refuse("a malformed number");
    }
    value.text = begin.substr(0, begin.size() - rest_.size());
    return {};
  }

  Result<void> read_string(std::string& out) {
    take('"');
    for (;;) {
      size_t plain = 0;
      while (plain < rest_.size() && rest_[plain] != '"' && rest_[plain] != '\\' && rest_[plain] >= 0x20) ++plain;
      out.append(rest_.substr(0, plain));
      rest_.remove_prefix(plain);
      if (rest_.empty()) return refuse("a string that does not end");
      if (take('"')) return {};
      if (take('\\')) {
        STOCKADE_TRY(read_escape(out));
      } else if (static_cast<unsigned char>(rest_[0]) < 0x20) {
        return refuse("a control character in a string");
      } else {
        const CodePoint point = decode_utf8(rest_);
        if (point.length == 0) return refuse("bytes that are not UTF-8");
        out.append(rest_.substr(0, point.length));
        rest_.remove_prefix(point.length);
      }
    }
  }

  Result<void> read_escape(std::string& out) {
    static constexpr std::string_view kNames = "\"\\/bfnrt";
    static constexpr std::string_view kValues = "\"\\/\b\f\n\r\t";
    if (rest_.empty()) return refuse("a string that does not end");
    if (take('u')) {
      const auto unit = read_unit();
      if (!unit) return refuse("a malformed escape");
      uint32_t point = *unit;
      if (point >= 0xdc00 && point <= 0xdfff) return refuse("half a surrogate pair");
      if (point >= 0xd800 && point <= 0xdbff) {
        if (!take_word("\\u")) return refuse("half a surrogate pair");
        const auto low = read_unit();
        if (!low || *low < 0xdc00 || *low > 0xdfff) return refuse("half a surrogate pair");
        point = 0x10000 + ((point - 0xd800) << 10) + (*low - 0xdc00);
      }
      append_utf8(out, point);
      return {};
    }
    const auto index = kNames.find(rest_[0]);
    if (index == std::string_view::npos) return refuse("a malformed escape");
    out.push_back(kValues[index]);
    rest_.remove_prefix(1);
    return {};
  }

  std::optional<uint32_t> read_unit() {
    if (rest_.size() < 4) return std::nullopt;
    uint32_t unit = 0;
    for (const char c : rest_.substr(0, 4)) {
      if (hex_value(c) < 0) return std::nullopt;
      unit = unit << 4 | static_cast<uint32_t>(hex_value(c));
    }
    rest_.remove_prefix(4);
    return unit;
  }

  std::string_view rest_;
  JsonLimits limits_;
  size_t values_ = 0;
};

}  // namespace

const JsonValue* JsonValue::find(std::string_view name) const {
  const auto found = std::find(names.begin(), names.end(), name);
  return found == names.end() ? nullptr : &items[static_cast<size_t>(found - names.begin())];
}

Result<JsonValue> parse_strict_json(std::string_view text, JsonLimits limits) { return Reader(text, limits).read(); }

}  // namespace stockade::net
