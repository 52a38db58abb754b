#include "inspect/compiled_rules.h"

#include <hs/hs.h>
#include <re2/re2.h>

#include <algorithm>
#include <cstring>

namespace stockade::inspect {

namespace {

constexpr size_t kKeywordLeast = 4;  // shorter prefixes backwards or in ROT13 would be everywhere

std::string escape_literal(std::string_view text) {
  std::string out;
  for (const char c : text) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  return out;
}

std::string rot13(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    const char base = static_cast<char>(c & ~32);
    if (base >= 'A' && base <= 'Z') c = static_cast<char>((base - 'A' + 13) % 26 + 'A' + (c & 32));
  }
  return out;
}

size_t aligned(size_t at) { return (at + kImageAlignment - 1) / kImageAlignment * kImageAlignment; }

CompiledRules::Stage stage_of(const Rule& rule) {
  if (rule.pattern.empty()) return CompiledRules::Stage::phrases;
  if (rule.prefilter == "digits") return CompiledRules::Stage::digits;
  if (rule.prefilter == "base58 run") return CompiledRules::Stage::base58_run;
  if (rule.prefilter == "token run") return CompiledRules::Stage::token_run;
  if (rule.prefilter == "capitals run") return CompiledRules::Stage::capitals_run;
  return CompiledRules::Stage::database;
}

Result<void> check(const Rule& rule) {
  if (rule.pattern.empty()) return {};
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_encoding(re2::RE2::Options::EncodingLatin1);
  const re2::RE2 pattern(rule.pattern, options);
  if (!pattern.ok()) return fail(ErrorKind::invalid_input, "rule {}: {}", rule.id, pattern.error());
  return {};
}

std::string lines(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out.append(text).append("\n");
  return out;
}

// What the database looks for besides the rules, by the order of their patterns.
std::vector<std::pair<std::string, Trigger>> marks_of(const std::vector<Rule>& rules) {
  std::vector<std::pair<std::string, Trigger>> marks = {{"\\x1f\\x8b\\x08", Trigger::gzip},
                                                        {"\\x28\\xb5\\x2f\\xfd", Trigger::zstd},
                                                        {"stream\\r?\\n\\x78", Trigger::pdf_stream},
                                                        {"PK\\x03\\x04", Trigger::zip_entry}};
  for (const Rule& rule : rules) {
    for (const std::string& keyword : rule.keywords) {
      if (keyword.size() < kKeywordLeast) continue;
      if (const std::string turned = rot13(keyword); turned != keyword)
        marks.emplace_back(escape_literal(turned), Trigger::rot13);
      marks.emplace_back(escape_literal(std::string(keyword.rbegin(), keyword.rend())), Trigger::reversed);
    }
  }
  std::sort(marks.begin(), marks.end());
  marks.erase(std::unique(marks.begin(), marks.end()), marks.end());
  return marks;
}

}  // namespace

// The image: this, records, triggers, texts, and the image of the database.
struct CompiledRules::Layout {
  uint32_t rules = 0;  // how many; the records lie right behind
  uint32_t triggers = 0;
  uint32_t triggers_at = 0;
  uint32_t texts_at = 0;
  uint32_t database_at = 0;
  uint32_t size = 0;  // of it all
};
static_assert(std::is_trivially_copyable_v<CompiledRules::Record> && sizeof(CompiledRules::Record) == 56);

Result<std::shared_ptr<const CompiledRules>> CompiledRules::compile(const std::vector<Rule>& rules) {
  if (rules.size() > kSecretRuleLimit) return fail(ErrorKind::limit, "more than {} rules", kSecretRuleLimit);
  std::string texts;
  const auto keep = [&](std::string_view text) {
    const Text place{static_cast<uint32_t>(texts.size()), static_cast<uint32_t>(text.size())};
    texts += text;
    return place;
  };
  PatternSources sources;
  std::vector<Record> records;
  for (const Rule& rule : rules) {
    STOCKADE_TRY(check(rule));
    uint16_t validators = 0;
    for (const Validator validator : rule.validators)
      validators |= static_cast<uint16_t>(1 << static_cast<int>(validator));
    records.push_back({.id = keep(rule.id),
                       .title = keep(rule.title),
                       .pattern = keep(rule.pattern),
                       .keywords = keep(lines(rule.keywords)),
                       .entropy = rule.entropy,
                       .span = static_cast<uint32_t>(rule.span),
                       .validators = validators,
                       .severity = rule.severity,
                       .stage = stage_of(rule),
                       .out = rule.out,
                       .in = rule.in});
    if (records.back().stage == Stage::database)
      sources.add(rule.prefilter.empty() ? rule.pattern : rule.prefilter, records.size() - 1, HS_FLAG_PREFILTER);
  }
  std::vector<Trigger> triggers;
  for (auto& [text, trigger] : marks_of(rules)) {
    sources.add(std::move(text), rules.size() + triggers.size(), 0);
    triggers.push_back(trigger);
  }
  auto database = PatternDatabase::compile(sources);
  if (!database) {
    const PatternFault& fault = database.error();
    const bool of_rule = fault.id >= 0 && static_cast<size_t>(fault.id) < rules.size();
    return fail(ErrorKind::invalid_input, "{}{}",
                of_rule ? fmt::format("rule {}: ", rules[static_cast<size_t>(fault.id)].id) : "", fault.reason);
  }

  Layout layout{.rules = static_cast<uint32_t>(records.size()), .triggers = static_cast<uint32_t>(triggers.size())};
  const size_t triggers_at = sizeof(Layout) + records.size() * sizeof(Record);
  const size_t texts_at = triggers_at + triggers.size();
  const size_t database_at = aligned(texts_at + texts.size());
  layout.triggers_at = static_cast<uint32_t>(triggers_at);
  layout.texts_at = static_cast<uint32_t>(texts_at);
  layout.database_at = static_cast<uint32_t>(database_at);
  layout.size = static_cast<uint32_t>(database_at + database->image().size());
  ImageBuffer buffer(layout.size);
  std::memcpy(buffer.data(), &layout, sizeof layout);
  std::ranges::copy(std::as_bytes(std::span(records)), buffer.data() + sizeof layout);
  std::ranges::copy(std::as_bytes(std::span(triggers)), buffer.data() + triggers_at);
  std::ranges::copy(std::as_bytes(std::span(texts)), buffer.data() + texts_at);
  std::ranges::copy(database->image(), buffer.data() + database_at);
  STOCKADE_ASSIGN(auto placed, PatternDatabase::from_image(buffer.view().subspan(database_at)));
  const std::shared_ptr<CompiledRules> set(new CompiledRules(buffer.view(), std::move(placed)));
  set->owned_ = std::move(buffer);
  return set;
}

Result<std::shared_ptr<const CompiledRules>> CompiledRules::from_image(Image image) {
  Layout layout;
  if (image.size() < sizeof layout) return fail(ErrorKind::internal, "an image of rules is cut");
  std::memcpy(&layout, image.data(), sizeof layout);
  if (image.size() != layout.size || layout.database_at >= layout.size)
    return fail(ErrorKind::internal, "an image of rules is cut");
  STOCKADE_ASSIGN(auto database, PatternDatabase::from_image(image.subspan(layout.database_at)));
  return std::shared_ptr<const CompiledRules>(new CompiledRules(image, std::move(database)));
}

Result<std::shared_ptr<const CompiledRules>> CompiledRules::open(Image image, std::string_view yaml,
                                                                 const std::string& file) {
  if (auto ready = from_image(image)) return ready;
  STOCKADE_ASSIGN(const auto rules, parse_rules(yaml, file));
  return compile(rules);
}

const CompiledRules::Layout& CompiledRules::layout() const { return *reinterpret_cast<const Layout*>(image_.data()); }

std::span<const CompiledRules::Record> CompiledRules::rules() const {
  return {reinterpret_cast<const Record*>(image_.data() + sizeof(Layout)), layout().rules};
}

std::span<const Trigger> CompiledRules::triggers() const {
  return {reinterpret_cast<const Trigger*>(image_.data() + layout().triggers_at), layout().triggers};
}

std::string_view CompiledRules::text(const Text& text) const {
  return {reinterpret_cast<const char*>(image_.data() + layout().texts_at + text.at), text.size};
}

}  // namespace stockade::inspect
