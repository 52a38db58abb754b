#include "policy/diagnostic.h"

#include <fmt/format.h>

#include "base/printable.h"

namespace stockade::policy {

std::string Location::to_string() const {
  if (file.empty()) return "built in";
  if (line == 0) return file;
  return fmt::format("{}:{}:{}", file, line, column);
}

std::string Diagnostic::render() const {
  std::string text = where.file.empty() ? message : fmt::format("{}: {}", where.to_string(), message);
  if (!hint.empty()) text += "; " + hint;
  return text;
}

std::string render(const Diagnostics& diagnostics) {
  std::string text;
  for (const Diagnostic& diagnostic : diagnostics) text += diagnostic.render() + "\n";
  return text;
}

std::string quoted(std::string_view text, size_t limit) {
  const bool cut = text.size() > limit;
  size_t end = cut ? limit : text.size();
  while (cut && end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return fmt::format("\"{}{}\"", escape_for_terminal(text.substr(0, end)), cut ? "…" : "");
}

std::string join_words(const std::vector<std::string>& words, std::string_view last) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 == words.size() ? fmt::format(" {} ", last) : std::string(", ");
    text += words[i];
  }
  return text;
}

}  // namespace stockade::policy
