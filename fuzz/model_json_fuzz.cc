// The JSON reader: the same nodes however the text is cut, pointers that find their value again, and the verdict and
// the values of a second parser.
// covers: src/model/json_cursor.cc src/model/json_value.cc src/model/json_edit.cc
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "model/json_edit.h"
#include "model/json_value.h"

namespace {

using namespace stockade;
using namespace stockade::model;
using nlohmann::json;

void require(bool condition) {
  if (!condition) std::abort();
}

bool same(const JsonNode& a, const JsonNode& b) {
  return a.begin == b.begin && a.end == b.end && a.next == b.next && a.parent == b.parent && a.index == b.index &&
         a.count == b.count && a.type == b.type && a.escaped == b.escaped;
}

// Reads `text` in pieces; its last bytes are at the end of their own memory each time, so that a read past them is
// seen.
bool read_cut(JsonCursor& cursor, std::string_view text, size_t piece) {
  for (size_t end = piece; end < text.size(); end += piece) {
    const std::string so_far(text.substr(0, end));
    if (!cursor.read(so_far)) return false;
  }
  const std::string all(text);
  return cursor.finish(all).has_value();
}

bool same_value(JsonValue value, const json& oracle) {
  switch (value.node().type) {
    case JsonType::object: {
      if (!oracle.is_object() || oracle.size() != value.size()) return false;
      for (JsonValue member = value.first(); member; member = member.next())
        if (!same_value(member, oracle.at(member.key().decode().value()))) return false;
      return true;
    }
    case JsonType::array: {
      if (!oracle.is_array() || oracle.size() != value.size()) return false;
      for (JsonValue element = value.first(); element; element = element.next())
        if (!same_value(element, oracle.at(element.node().index))) return false;
      return true;
    }
    case JsonType::string:
      return oracle.is_string() && oracle.get_ref<const std::string&>() == value.text().decode().value();
    case JsonType::number:
      return oracle.is_number();
    case JsonType::null_value:
      return oracle.is_null();
    default:
      return oracle.is_boolean() && oracle.get<bool>() == value.is_true();
  }
}

void check_pointers(const JsonDocument& document, JsonValue value, int& budget) {
  if (--budget < 0) return;
  require(find_pointer(document, value.pointer()).id() == value.id());
  require(find_range(document, value.range()).id() == value.id());
  for (JsonValue child = value.first(); child; child = child.next()) check_pointers(document, child, budget);
}

// Every value removed, replaced or added leaves JSON.
void check_edits(const JsonDocument& document, uint8_t choice) {
  JsonEdit edit(document);
  const auto& nodes = document.nodes();
  for (uint32_t i = 1; i < nodes.size(); ++i) {
    if (nodes[i].type == JsonType::key) continue;
    const JsonValue value(&document, i);
    switch ((i * 7 + choice) % 5) {
      case 0:
        edit.remove(value);
        break;
      case 1:
        edit.replace(value, "{\"new\":[]}");
        break;
      case 2:
        if (value.is_array()) edit.append(value, "9");
        break;
      default:
        break;
    }
  }
  const std::string edited = edit.apply();
  JsonDocument again;
  require(again.read(edited).has_value());
  if (edit.empty()) require(edited == document.text());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  JsonDocument document;
  const auto read = document.read(text);
  // Whatever bytes they are, quoted they are JSON.
  const std::string quoted = json_quoted(text);
  JsonDocument as_text;
  require(as_text.read(quoted).has_value() && as_text.root().text().decode().has_value());
  for (const size_t piece : {size_t{1}, size_t{3}, size_t{data[0]} + 1}) {
    JsonCursor cursor;
    require(read_cut(cursor, text, piece) == read.has_value());
    if (!read) continue;
    require(cursor.nodes().size() == document.nodes().size());
    for (size_t i = 0; i < cursor.nodes().size(); ++i) require(same(cursor.nodes()[i], document.nodes()[i]));
  }
  // nlohmann decodes all text at once (lone surrogates), has no numbers beyond a double, and takes a NUL for the end.
  const bool may_differ = text.find("\\u") != std::string::npos || text.find_first_of("eE") != std::string::npos ||
                          text.size() > 300 || text.starts_with("\xef") || text.find('\0') != std::string::npos;
  if (!read) {
    const std::string& why = read.error().sentence();
    if (why.find("twice") == std::string::npos && read.error().kind() == ErrorKind::protocol && !may_differ)
      require(!json::accept(text));
    return 0;
  }
  int budget = 200;
  check_pointers(document, document.root(), budget);
  check_edits(document, data[0]);
  if (may_differ) return 0;
  require(json::accept(text));
  require(same_value(document.root(), json::parse(text)));
  return 0;
}
