#include "inspect/engine.h"

#include <hs/hs.h>
#include <re2/re2.h>
#include <sodium.h>

#include <algorithm>

namespace stockade::inspect {

namespace {

constexpr size_t kKeywordLeast = 4;        // shorter prefixes backwards or in ROT13 would be everywhere
constexpr size_t kProgramLimit = 8 << 20;  // RE2's memory for one pattern

std::string escape_literal(std::string_view text) {
  std::string out;
  for (const char c : text) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  return out;
}

std::string rot13(std::string_view text) {
  std::string whole(text);
  return decode_rot13(whole, 0, whole.size()).bytes;
}

// The patterns as Vectorscan takes them.
struct Sources {
  std::vector<std::string> texts;
  std::vector<unsigned> ids;
  std::vector<unsigned> flags;

  void add(std::string text, size_t id, unsigned flag) {
    texts.push_back(std::move(text));
    ids.push_back(static_cast<unsigned>(id));
    flags.push_back(flag);
  }
};

}  // namespace

Engine::~Engine() { hs_free_database(database_); }

Result<std::shared_ptr<const Engine>> Engine::create(EngineOptions options) {
  if (sodium_init() < 0) return fail(ErrorKind::internal, "libsodium can't be used");
  if (options.rules.size() > kRuleLimit) return fail(ErrorKind::limit, "more than {} rules", kRuleLimit);
  std::shared_ptr<Engine> engine(new Engine);
  engine->rules_ = std::move(options.rules);
  engine->key_ = options.key;
  STOCKADE_ASSIGN(engine->known_, KnownValues::create(options.known, options.key));
  STOCKADE_ASSIGN(engine->words_, WordList::create(bip39_words_text()));
  STOCKADE_TRY(engine->compile());
  return engine;
}

Result<void> Engine::compile() {
  Sources sources;
  std::vector<std::pair<std::string, Trigger>> marks = {{"\\x1f\\x8b\\x08", Trigger::gzip},
                                                        {"\\x28\\xb5\\x2f\\xfd", Trigger::zstd},
                                                        {"stream\\r?\\n\\x78", Trigger::pdf_stream},
                                                        {"PK\\x03\\x04", Trigger::zip_entry}};
  for (size_t i = 0; i < rules_.size(); ++i) {
    const Rule& rule = rules_[i];
    longest_span_ = std::max(longest_span_, rule.span);
    auto& confirm = confirm_.emplace_back();
    if (rule.pattern.empty()) {
      phrase_rule_ = static_cast<int>(i);
      continue;
    }
    re2::RE2::Options re2_options;
    re2_options.set_log_errors(false);
    re2_options.set_encoding(re2::RE2::Options::EncodingLatin1);
    re2_options.set_max_mem(kProgramLimit);
    confirm = std::make_unique<re2::RE2>(rule.pattern, re2_options);
    if (!confirm->ok()) return fail(ErrorKind::invalid_input, "rule {}: {}", rule.id, confirm->error());
    if (rule.prefilter == "digits")
      digit_rules_.push_back(static_cast<uint32_t>(i));
    else if (rule.prefilter == "run")
      run_rules_.push_back(static_cast<uint32_t>(i));
    else
      sources.add(rule.prefilter.empty() ? rule.pattern : rule.prefilter, i, HS_FLAG_PREFILTER);
    for (const std::string& keyword : rule.keywords) {
      if (keyword.size() < kKeywordLeast) continue;
      if (const std::string turned = rot13(keyword); turned != keyword)
        marks.emplace_back(escape_literal(turned), Trigger::rot13);
      marks.emplace_back(escape_literal(std::string(keyword.rbegin(), keyword.rend())), Trigger::reversed);
    }
  }
  std::sort(marks.begin(), marks.end());
  marks.erase(std::unique(marks.begin(), marks.end()), marks.end());
  for (auto& [text, trigger] : marks) {
    sources.add(std::move(text), rules_.size() + triggers_.size(), 0);
    triggers_.push_back(trigger);
  }
  std::vector<const char*> pointers;
  for (const std::string& text : sources.texts) pointers.push_back(text.c_str());
  hs_compile_error_t* error = nullptr;
  if (hs_compile_multi(pointers.data(), sources.flags.data(), sources.ids.data(),
                       static_cast<unsigned>(pointers.size()), HS_MODE_BLOCK, nullptr, &database_,
                       &error) != HS_SUCCESS) {
    std::string message = error->message;
    const int at = error->expression;
    hs_free_compile_error(error);
    const bool of_rule = at >= 0 && sources.ids[static_cast<size_t>(at)] < rules_.size();
    return fail(ErrorKind::invalid_input, "{}{}",
                of_rule ? fmt::format("rule {}: ", rules_[sources.ids[static_cast<size_t>(at)]].id) : "", message);
  }
  return {};
}

}  // namespace stockade::inspect
