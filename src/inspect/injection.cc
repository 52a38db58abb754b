#include "inspect/injection.h"

#include <algorithm>
#include <cmath>

#include "inspect/builtin/embedded.h"
#include "inspect/injection_reading.h"
#include "inspect/injection_stretch.h"
#include "inspect/injection_terms.h"

namespace stockade::inspect {

namespace {

constexpr size_t kExcerpt = 160;
constexpr size_t kWordsNamed = 5;
constexpr double kInvisibleMessage = 3;  // logit above the threshold: no honest text spells letters in tags
constexpr double kUnexplained = -2;      // logit below which nobody asks why

}  // namespace

struct InjectionDetector::State {
  std::shared_ptr<const InjectionRules> rules;
  std::shared_ptr<const StretchModel> model;
  std::shared_ptr<const Folder> folder;
  std::shared_ptr<const WordClasses> classes;
  TermFinder finder;
  std::unique_ptr<StretchJudge> judge;

  void make_judge() { judge = std::make_unique<StretchJudge>(*model, bundled_word_weights(), *classes, finder); }
};

namespace {

// Judges the views of one window and keeps the best.
class WindowJudge : public ViewVisitor {
 public:
  WindowJudge(const InjectionRules& rules, const StretchModel& model, StretchJudge& judge, size_t offset)
      : rules_(rules), model_(model), judge_(judge), offset_(offset) {}

  bool visit(const View& view) override {
    const Stretch stretch = judge_.best(view.text, view.origin);
    if (stretch.logit > best_) {
      best_ = stretch.logit;
      reasons_.clear();  // the strongest stretch is the one to explain
      if (best_ - model_.threshold > kUnexplained) explain(view, stretch);
    }
    return judge_.saw_rot13();
  }

  void invisible_message(const HiddenText& piece) override {
    best_ = std::max(best_, model_.threshold + kInvisibleMessage);
    add({"invisible-message",
         "hidden",
         offset_ + piece.begin,
         offset_ + piece.end,
         std::string(hidden_kind_name(piece.kind)),
         piece.text.substr(0, kExcerpt),
         {}});
  }

  InjectionScore result() {
    InjectionScore out;
    out.score = best_ <= -1000 ? 0 : 1 / (1 + std::exp(model_.threshold - best_));
    out.reasons = std::move(reasons_);
    return out;
  }

 private:
  void explain(const View& view, const Stretch& stretch) {
    InjectionReason reason;
    reason.begin = offset_ + (view.whole ? view.begin + stretch.begin : view.begin);
    reason.end = offset_ + (view.whole ? view.begin + stretch.end : view.end);
    reason.through = view.origin.through;
    reason.excerpt = view.text.substr(stretch.begin, std::min(stretch.end - stretch.begin, kExcerpt));
    reason.words = judge_.strongest_words(view.text, stretch, kWordsNamed);
    const RuleSet met = judge_.rules_of(view.text, stretch, rules_);
    if (met.none()) add(reason);
    for (size_t i = 0; i < rules_.rules.size(); ++i) {
      if (!met[i]) continue;
      reason.rule = rules_.rules[i].id;
      reason.attack_class = rules_.rules[i].attack_class;
      add(reason);
    }
  }

  void add(InjectionReason reason) {
    if (reasons_.size() < kReasonLimit) reasons_.push_back(std::move(reason));
  }

  const InjectionRules& rules_;
  const StretchModel& model_;
  StretchJudge& judge_;
  size_t offset_;
  double best_ = -1000;
  std::vector<InjectionReason> reasons_;
};

}  // namespace

Result<InjectionDetector> InjectionDetector::create() {
  STOCKADE_ASSIGN(const InjectionRules rules, parse_injection_rules(bundled_injection_rules()));
  return create(rules);
}

Result<InjectionDetector> InjectionDetector::create(const InjectionRules& rules) {
  if (!rules.model.contains("scale"))
    return fail(ErrorKind::invalid_input, "injection rules: the section \"model\" lacks \"scale\"");
  auto state = std::make_shared<State>();
  state->rules = std::make_shared<const InjectionRules>(rules);
  state->model = std::make_shared<const StretchModel>(StretchModel::from(rules));
  state->folder = std::make_shared<const Folder>();
  STOCKADE_ASSIGN(WordClasses classes, WordClasses::parse(bundled_word_classes(), *state->folder));
  state->classes = std::make_shared<const WordClasses>(std::move(classes));
  STOCKADE_ASSIGN(state->finder, TermFinder::create(rules, *state->folder, builtin_term_image()));
  state->make_judge();
  InjectionDetector out;
  out.state_ = std::move(state);
  return out;
}

Result<InjectionDetector> InjectionDetector::clone() const {
  InjectionDetector out;
  out.state_ = std::make_shared<State>();
  out.state_->rules = state_->rules;
  out.state_->model = state_->model;
  out.state_->folder = state_->folder;
  out.state_->classes = state_->classes;
  STOCKADE_ASSIGN(out.state_->finder, state_->finder.clone());
  out.state_->make_judge();
  return out;
}

const InjectionRules& InjectionDetector::rules() const { return *state_->rules; }

InjectionScore InjectionDetector::score_window(std::string_view text, TextFormat format, size_t offset) const {
  WindowJudge judge(*state_->rules, *state_->model, *state_->judge, offset);
  read_views(text, format, *state_->folder, judge);
  return judge.result();
}

InjectionScore InjectionDetector::score(std::string_view text, const InjectionContext& context) const {
  InjectionScanner scanner(*this, context);
  scanner.feed(text);
  return scanner.finish();
}

void InjectionScanner::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t count = std::min(bytes.size(), kInjectionWindow - held_.size());
    held_ += bytes.substr(0, count);
    bytes.remove_prefix(count);
    if (held_.size() < kInjectionWindow || bytes.empty()) continue;
    judge(held_);
    held_.erase(0, kInjectionWindow - kInjectionOverlap);
    offset_ += kInjectionWindow - kInjectionOverlap;
  }
}

InjectionScore InjectionScanner::finish() {
  if (!held_.empty()) judge(held_);
  InjectionScore out = std::move(best_);
  best_ = {};
  held_.clear();
  offset_ = 0;
  format_.reset();
  return out;
}

void InjectionScanner::judge(std::string_view window) {
  if (!format_) format_ = context_.format ? *context_.format : guess_format(window);
  InjectionScore score = detector_.score_window(window, *format_, offset_);
  if (score.score > best_.score) best_ = std::move(score);
}

}  // namespace stockade::inspect
