#include "model/json_value.h"

#include <algorithm>
#include <charconv>

namespace stockade::model {

Result<std::string> JsonString::decode() const {
  if (!escaped) return std::string(raw);
  std::string text;
  text.reserve(raw.size());
  if (!decode_json_string(raw, text)) return fail(ErrorKind::protocol, "JSON with a lone surrogate in a text");
  return text;
}

bool JsonString::equals(std::string_view text) const {
  if (!escaped) return raw == text;
  std::string decoded;
  return decode_json_string(raw, decoded) && decoded == text;
}

const JsonNode& JsonValue::node() const { return document_->node(node_); }

ByteRange JsonValue::range() const {
  if (!*this) return {};
  return {node().begin, node().end};
}

std::string_view JsonValue::raw() const {
  if (!*this) return {};
  return document_->text().substr(node().begin, node().end - node().begin);
}

JsonValue JsonValue::first() const {
  if (!*this || node().count == 0) return {};
  return {document_, node_ + (is_object() ? 2 : 1)};
}

JsonValue JsonValue::next() const {
  if (!*this || node().next == kNoNode) return {};
  return {document_, node().next + (is_member() ? 1 : 0)};
}

JsonValue JsonValue::parent() const {
  if (!*this) return {};
  return {document_, node().parent};
}

bool JsonValue::is_member() const {
  return *this && node().parent != kNoNode && document_->node(node().parent).type == JsonType::object;
}

JsonString JsonValue::key() const {
  if (!is_member()) return {};
  const JsonNode& key = document_->node(node_ - 1);
  return {document_->text().substr(key.begin + 1, key.end - key.begin - 2), key.escaped};
}

ByteRange JsonValue::key_range() const {
  if (!is_member()) return {};
  const JsonNode& key = document_->node(node_ - 1);
  return {key.begin, key.end};
}

JsonValue JsonValue::operator[](std::string_view key) const {
  if (!is_object()) return {};
  for (JsonValue member = first(); member; member = member.next())
    if (member.key().equals(key)) return member;
  return {};
}

JsonString JsonValue::text() const {
  if (!is_string()) return {};
  const std::string_view all = raw();
  return {all.substr(1, all.size() - 2), node().escaped};
}

std::optional<uint64_t> JsonValue::number() const {
  if (!is(JsonType::number)) return std::nullopt;
  const std::string_view digits = raw();
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

std::string JsonValue::pointer() const {
  if (!*this || node().parent == kNoNode) return {};
  std::string path = parent().pointer();
  path.push_back('/');
  if (!is_member()) return path + std::to_string(node().index);
  const JsonString name = key();
  std::string decoded;
  if (name.escaped) (void)decode_json_string(name.raw, decoded);
  for (char c : name.escaped ? std::string_view(decoded) : name.raw) {
    if (c == '~' || c == '/') {
      path += c == '~' ? "~0" : "~1";
    } else {
      path.push_back(c);
    }
  }
  return path;
}

Result<void> JsonDocument::read(std::string_view text) {
  cursor_.reset();
  text_ = text;
  return cursor_.finish(text);
}

JsonValue find_range(const JsonDocument& document, ByteRange range) {
  const auto& nodes = document.nodes();
  const auto found = std::ranges::lower_bound(nodes, range.begin, {}, &JsonNode::begin);
  if (found == nodes.end() || found->begin != range.begin || found->end != range.end || found->type == JsonType::key)
    return {};
  return {&document, static_cast<uint32_t>(found - nodes.begin())};
}

JsonValue find_pointer(const JsonDocument& document, std::string_view pointer) {
  JsonValue value = document.root();
  while (value && !pointer.empty()) {
    if (pointer[0] != '/') return {};
    pointer.remove_prefix(1);
    const size_t length = std::min(pointer.find('/'), pointer.size());
    std::string name;
    for (size_t i = 0; i < length; ++i) {
      const bool tilde = pointer[i] == '~' && i + 1 < length;
      name.push_back(tilde ? (pointer[++i] == '0' ? '~' : '/') : pointer[i]);
    }
    pointer.remove_prefix(length);
    if (value.is_object()) {
      value = value[name];
      continue;
    }
    if (!value.is_array()) return {};
    value = value.first();
    while (value && std::to_string(value.node().index) != name) value = value.next();
  }
  return value;
}

std::string json_quoted(std::string_view text) {
  std::string out = "\"";
  for (size_t at = 0; at < text.size();) {
    const auto c = static_cast<unsigned char>(text[at]);
    if (c < 0x80) {
      if (c == '"' || c == '\\') {
        out.push_back('\\');
        out.push_back(text[at]);
      } else if (c == '\n') {
        out += "\\n";
      } else if (c < 0x20 || c == 0x7f) {
        out += fmt::format("\\u{:04x}", c);
      } else {
        out.push_back(text[at]);
      }
      ++at;
      continue;
    }
    const int length = utf8_sequence_length(text.substr(at));
    if (length <= 0) {
      out += "\xef\xbf\xbd";
      ++at;
      continue;
    }
    out.append(text, at, static_cast<size_t>(length));
    at += static_cast<size_t>(length);
  }
  out.push_back('"');
  return out;
}

}  // namespace stockade::model
