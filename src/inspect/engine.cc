#include "inspect/engine.h"

#include <re2/re2.h>
#include <sodium.h>

#include <algorithm>

namespace stockade::inspect {

namespace {

constexpr size_t kProgramLimit = 8 << 20;  // RE2's memory for one pattern

}  // namespace

Engine::Engine(std::shared_ptr<const CompiledRules> rules)
    : rules_(std::move(rules)), confirmations_(rules_->rules().size()) {
  for (uint32_t i = 0; i < confirmations_.size(); ++i) {
    const CompiledRules::Record& rule = rules_->rules()[i];
    longest_span_ = std::max<size_t>(longest_span_, rule.span);
    if (rule.stage == CompiledRules::Stage::phrases) phrase_rule_ = static_cast<int>(i);
    if (rule.stage == CompiledRules::Stage::digits) digit_rules_.push_back(i);
    if (rule.stage >= CompiledRules::Stage::base58_run) run_rules_.push_back(i);
  }
}

Engine::~Engine() = default;

Result<std::shared_ptr<const Engine>> Engine::create(EngineOptions options) {
  if (sodium_init() < 0) return fail(ErrorKind::internal, "libsodium can't be used");
  std::shared_ptr<Engine> engine(new Engine(std::move(options.rules)));
  engine->key_ = options.key;
  STOCKADE_ASSIGN(engine->known_, KnownValues::create(options.known, options.key));
  return engine;
}

const re2::RE2& Engine::confirmation(size_t rule) const {
  Confirmation& confirmation = confirmations_[rule];
  std::call_once(confirmation.once, [&] {
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_encoding(re2::RE2::Options::EncodingLatin1);
    options.set_max_mem(kProgramLimit);
    const std::string_view text = rules_->text(rules_->rules()[rule].pattern);
    confirmation.pattern = std::make_unique<re2::RE2>(re2::StringPiece(text.data(), text.size()), options);
  });
  return *confirmation.pattern;
}

}  // namespace stockade::inspect
