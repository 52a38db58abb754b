#include "net/form_fields.h"

#include <algorithm>

namespace stockade::net {

namespace {

std::unexpected<Error> refuse(std::string_view what) { return fail(ErrorKind::protocol, "{}", what); }

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Result<std::string> decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out.push_back(' ');
    } else if (text[i] != '%') {
      out.push_back(text[i]);
    } else {
      if (text.size() - i < 3 || hex_value(text[i + 1]) < 0 || hex_value(text[i + 2]) < 0)
        return refuse("a form with an unfinished percent escape");
      out.push_back(static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2])));
      i += 2;
    }
  }
  return out;
}

std::string_view stripped(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// A token or a quoted string at the front of `text`.
Result<std::string> take_value(std::string_view& text) {
  std::string value;
  if (!text.starts_with('"')) {
    const auto end = std::min(text.find(';'), text.size());
    value = stripped(text.substr(0, end));
    text.remove_prefix(end);
    if (!is_token(value)) return refuse("a parameter whose value is no token");
    return value;
  }
  size_t at = 1;
  for (; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
    if (at < text.size()) value.push_back(text[at]);
  }
  if (at >= text.size()) return refuse("a quoted string that does not end");
  text.remove_prefix(at + 1);
  return value;
}

// "; a=b; c="d e"" behind a type or a disposition.
Result<std::vector<std::pair<std::string, std::string>>> parse_parameters(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> out;
  while (!(text = stripped(text)).empty()) {
    if (text[0] != ';') return refuse("a parameter without a semicolon");
    text = stripped(text.substr(1));
    if (text.empty()) break;
    const auto equals = text.find('=');
    if (equals == std::string_view::npos) return refuse("a parameter without a value");
    std::string name = lower_case(stripped(text.substr(0, equals)));
    if (!is_token(name)) return refuse("a parameter whose name is no token");
    text.remove_prefix(equals + 1);
    STOCKADE_ASSIGN(std::string value, take_value(text));
    for (const auto& [other, unused] : out)
      if (other == name) return refuse("a parameter that is there twice");
    if (out.size() == 32) return refuse("too many parameters");
    out.emplace_back(std::move(name), std::move(value));
  }
  return out;
}

// Takes the lines of a part's head; the content begins behind its empty line.
Result<size_t> read_part_head(std::string_view bytes, std::vector<HttpField>& fields) {
  size_t at = 0;
  for (;;) {
    const auto end = bytes.substr(0, kPartHeadLimit).find("\r\n", at);
    if (end == std::string_view::npos) return refuse("a part whose head does not end");
    const auto line = bytes.substr(at, end - at);
    at = end + 2;
    if (line.empty()) return at;
    STOCKADE_ASSIGN(HttpField field, parse_field_line(line));
    if (find_field(fields, field.name) != nullptr) return refuse("a part with a field that is there twice");
    fields.push_back(std::move(field));
    if (fields.size() > 64) return refuse("a part with too many fields");
  }
}

}  // namespace

std::string_view MediaType::parameter(std::string_view name) const {
  for (const auto& [known, value] : parameters)
    if (known == name) return value;
  return {};
}

bool MediaType::is_json() const { return type == "application/json" || type == "text/json" || type.ends_with("+json"); }

Result<MediaType> parse_media_type(std::string_view text) {
  MediaType media;
  text = stripped(text);
  if (text.empty()) return media;
  const auto end = std::min(text.find(';'), text.size());
  media.type = lower_case(stripped(text.substr(0, end)));
  const auto slash = media.type.find('/');
  if (slash == std::string::npos || !is_token(media.type.substr(0, slash)) || !is_token(media.type.substr(slash + 1)))
    return refuse("a malformed media type");
  STOCKADE_ASSIGN(media.parameters, parse_parameters(text.substr(end)));
  return media;
}

Result<std::vector<FormField>> parse_urlencoded(std::string_view text) {
  std::vector<FormField> fields;
  while (!text.empty()) {
    const auto end = std::min(text.find('&'), text.size());
    const auto pair = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (pair.empty()) continue;
    if (fields.size() == kFormFieldLimit) return refuse("a form with too many fields");
    const auto equals = std::min(pair.find('='), pair.size());
    STOCKADE_ASSIGN(std::string name, decoded(pair.substr(0, equals)));
    STOCKADE_ASSIGN(std::string value, decoded(pair.substr(std::min(equals + 1, pair.size()))));
    fields.push_back({std::move(name), std::move(value)});
  }
  return fields;
}

std::string Part::name() const {
  const HttpField* disposition = find_field(fields, "content-disposition");
  if (disposition == nullptr) return {};
  const std::string_view value = disposition->value;
  const auto end = std::min(value.find(';'), value.size());
  const auto parameters = parse_parameters(value.substr(end));
  if (!parameters) return {};
  for (const auto& [name, text] : *parameters)
    if (name == "name") return text;
  return {};
}

Result<std::vector<Part>> parse_multipart(std::string_view body, std::string_view boundary) {
  if (boundary.empty() || boundary.size() > 70) return refuse("a multipart body without a usable boundary");
  const std::string delimiter = "--" + std::string(boundary);
  if (!body.starts_with(delimiter)) {
    const auto first = body.find("\r\n" + delimiter);
    if (first == std::string_view::npos) return refuse("a multipart body that does not begin with its boundary");
    body.remove_prefix(first + 2);  // a preamble
  }
  const std::string between = "\r\n" + delimiter;
  std::vector<Part> parts;
  for (;;) {
    body.remove_prefix(delimiter.size());
    if (body.starts_with("--")) return parts;  // an epilogue is ignored by all
    if (!body.starts_with("\r\n")) return refuse("a boundary with something behind it");
    body.remove_prefix(2);
    if (parts.size() == kPartLimit) return refuse("a multipart body with too many parts");
    Part part;
    STOCKADE_ASSIGN(const size_t head, read_part_head(body, part.fields));
    // The line end of the head's empty line may belong to the boundary of an empty part.
    const auto end = body.find(between, head - 2);
    if (end == std::string_view::npos) return refuse("a multipart body without its last boundary");
    part.content = end > head ? body.substr(head, end - head) : std::string_view();
    parts.push_back(std::move(part));
    body.remove_prefix(end + 2);
  }
}

}  // namespace stockade::net
