#include "net/http_field.h"

#include <algorithm>
#include <iterator>

namespace stockade::net {

namespace {

constexpr std::string_view kFramingFields[] = {"host", "content-length", "transfer-encoding"};

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool is_token_byte(char c) {
  return is_alphanumeric(c) || (c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
}

// The name as servers see it that turn names into variables: every separator alike.
bool looks_like(std::string_view name, std::string_view framing) {
  return std::equal(name.begin(), name.end(), framing.begin(), framing.end(),
                    [](char a, char b) { return lower(a) == b || (b == '-' && !is_alphanumeric(a)); });
}

bool is_space(char c) { return c == ' ' || c == '\t'; }

}  // namespace

bool is_token(std::string_view text) { return !text.empty() && std::all_of(text.begin(), text.end(), is_token_byte); }

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

std::string lower_case(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

bool is_framing_field(std::string_view name) {
  return std::any_of(std::begin(kFramingFields), std::end(kFramingFields),
                     [&](std::string_view framing) { return looks_like(name, framing); });
}

Result<HttpField> parse_field_line(std::string_view line) {
  if (!line.empty() && is_space(line[0])) return fail(ErrorKind::protocol, "a folded header line (obs-fold)");
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return fail(ErrorKind::protocol, "a header line without a colon");
  const auto name = line.substr(0, colon);
  if (!name.empty() && is_space(name.back()))
    return fail(ErrorKind::protocol, "white space between a header's name and its colon");
  if (!is_token(name)) return fail(ErrorKind::protocol, "a header name that is not a token");

  const auto raw = line.substr(colon + 1);
  const bool clean = std::none_of(
      raw.begin(), raw.end(), [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; });
  if (!clean) return fail(ErrorKind::protocol, "a control character in the value of header {}", name);
  auto value = raw;
  while (!value.empty() && is_space(value.front())) value.remove_prefix(1);
  while (!value.empty() && is_space(value.back())) value.remove_suffix(1);

  for (std::string_view framing : kFramingFields) {
    if (!looks_like(name, framing)) continue;
    if (!equals_ignoring_case(name, framing))
      return fail(ErrorKind::protocol, "header {} can be mistaken for {}", name, framing);
    if (raw != value && raw != std::string(" ").append(value))
      return fail(ErrorKind::protocol, "white space around the value of {} that parsers read differently", framing);
  }
  return HttpField{std::string(name), std::string(value)};
}

const HttpField* find_field(std::span<const HttpField> fields, std::string_view name) {
  const HttpField* found = nullptr;
  for (const HttpField& field : fields)
    if (equals_ignoring_case(field.name, name)) found = &field;
  return found;
}

size_t count_fields(std::span<const HttpField> fields, std::string_view name) {
  return static_cast<size_t>(std::count_if(
      fields.begin(), fields.end(), [&](const HttpField& field) { return equals_ignoring_case(field.name, name); }));
}

bool has_list_token(std::span<const HttpField> fields, std::string_view name, std::string_view token) {
  for (const HttpField& field : fields) {
    if (!equals_ignoring_case(field.name, name)) continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      const auto comma = rest.find(',');
      auto item = rest.substr(0, comma);
      while (!item.empty() && is_space(item.front())) item.remove_prefix(1);
      while (!item.empty() && is_space(item.back())) item.remove_suffix(1);
      if (equals_ignoring_case(item, token)) return true;
      rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    }
  }
  return false;
}

}  // namespace stockade::net
