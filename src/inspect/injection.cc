#include "inspect/injection.h"

#include <algorithm>
#include <cmath>

#include "inspect/builtin/embedded.h"
#include "inspect/injection_fold.h"
#include "inspect/injection_stretch.h"
#include "inspect/injection_terms.h"

namespace stockade::inspect {

namespace {

constexpr size_t kExcerpt = 160;
constexpr size_t kHiddenViews = 64;      // hidden pieces judged one by one; the rest together
constexpr size_t kTagLettersAlone = 16;  // a flag has at most six
constexpr double kInvisibleMessage = 3;  // logit above the threshold: no honest text spells letters in tags

bool has_byte(std::string_view text, char c) { return text.find(c) != std::string_view::npos; }

}  // namespace

struct InjectionDetector::State {
  std::shared_ptr<const InjectionRules> rules;
  std::shared_ptr<const StretchModel> model;
  std::shared_ptr<const Folder> folder;
  TermFinder finder;
  size_t rot13 = kConceptLimit;
  std::vector<TermHit> hits;
};

namespace {

// Judges the views of one window and keeps the best.
class WindowJudge {
 public:
  WindowJudge(const InjectionRules& rules, const StretchModel& model, const Folder& folder, const TermFinder& finder,
              size_t rot13, std::vector<TermHit>& hits, size_t offset, std::vector<InjectionFeatures>* features)
      : rules_(rules),
        model_(model),
        folder_(folder),
        finder_(finder),
        rot13_(rot13),
        hits_(hits),
        offset_(offset),
        features_(features) {}

  // A text and every other way to read it.
  void read(std::string_view text, ViewOrigin origin, size_t begin, size_t end, bool decode) {
    std::string folded;
    std::string_view view = text;
    if (!is_ascii(text)) {
      FoldedText result = folder_.fold(text);
      origin.disguised = origin.disguised || result.mixed_scripts > 0 || result.invisible > 2;
      if (result.mixed_scripts > 0 && origin.through.empty()) origin.through = "look-alike letters";
      folded = std::move(result.text);
      view = folded;
    }
    const bool whole = begin == 0 && view.size() == text.size();
    judge(view, origin, begin, end, whole);
    if (!decode) return;
    const bool with_rot13 =
        std::any_of(hits_.begin(), hits_.end(), [&](const TermHit& hit) { return hit.concept_index == rot13_; });
    ViewOrigin other = origin;
    other.disguised = true;
    if (const std::string joined = joined_letters(view); !joined.empty()) {
      other.through = "letter-spacing";
      judge(joined, other, begin, end, false);
    }
    if (const std::string plain = without_leet(view); !plain.empty()) {
      other.through = "leetspeak";
      judge(plain, other, begin, end, whole);
    }
    // Base64 has upper and lower case, which the folded view has not.
    for (const DecodedRun& run : decoded_runs(text, with_rot13)) {
      static constexpr std::string_view kNames[] = {"base64", "hex", "rot13", "percent-encoding"};
      ViewOrigin inner = origin;
      inner.decoded = run.encoding != Encoding::percent;
      inner.through = kNames[static_cast<size_t>(run.encoding)];
      read(run.text, inner, whole ? run.begin : begin, whole ? run.end : end, false);
    }
  }

  void invisible_message(const HiddenText& piece) {
    if (piece.text.size() < kTagLettersAlone) return;
    const double logit = model_.threshold + kInvisibleMessage;
    if (logit > best_) best_ = logit;
    add_reason({"invisible-message", "hidden", offset_ + piece.begin, offset_ + piece.end,
                std::string(hidden_kind_name(piece.kind)), piece.text.substr(0, kExcerpt)});
  }

  InjectionScore result() {
    InjectionScore out;
    out.score = best_ <= -1000 ? 0 : 1 / (1 + std::exp(model_.threshold - best_));
    out.reasons = std::move(reasons_);
    return out;
  }

 private:
  void judge(std::string_view view, const ViewOrigin& origin, size_t begin, size_t end, bool whole) {
    finder_.find(view, hits_);
    const Stretch stretch = best_stretch(view, hits_, origin, rules_, model_, features_);
    if (stretch.rules.none()) return;
    if (stretch.logit > best_) {
      best_ = stretch.logit;
      reasons_.clear();  // the strongest stretch is the one to explain
      const RuleSet named = RuleSet(stretch.rules).reset(kCrowded);
      if (named.none())
        add_reason({"crowded", "unnamed", offset_ + (whole ? stretch.begin : begin),
                    offset_ + (whole ? stretch.end : end), std::string(origin.through),
                    std::string(view.substr(stretch.begin, std::min(stretch.end - stretch.begin, kExcerpt)))});
      for (size_t i = 0; i < rules_.rules.size(); ++i)
        if (stretch.rules[i])
          add_reason({rules_.rules[i].id, rules_.rules[i].attack_class, offset_ + (whole ? stretch.begin : begin),
                      offset_ + (whole ? stretch.end : end), std::string(origin.through),
                      std::string(view.substr(stretch.begin, std::min(stretch.end - stretch.begin, kExcerpt)))});
    }
  }

  void add_reason(InjectionReason reason) {
    if (reasons_.size() < kReasonLimit) reasons_.push_back(std::move(reason));
  }

  const InjectionRules& rules_;
  const StretchModel& model_;
  const Folder& folder_;
  const TermFinder& finder_;
  size_t rot13_;
  std::vector<TermHit>& hits_;
  size_t offset_;
  std::vector<InjectionFeatures>* features_;
  double best_ = -1000;
  std::vector<InjectionReason> reasons_;
};

bool is_half_hidden(HiddenKind kind) {
  return kind == HiddenKind::attribute_text || kind == HiddenKind::meta || kind == HiddenKind::noscript ||
         kind == HiddenKind::code_comment || kind == HiddenKind::json_key;
}

}  // namespace

Result<InjectionDetector> InjectionDetector::create() {
  STOCKADE_ASSIGN(const InjectionRules rules, parse_injection_rules(bundled_injection_rules()));
  return create(rules);
}

Result<InjectionDetector> InjectionDetector::create(const InjectionRules& rules) {
  auto state = std::make_shared<State>();
  state->rules = std::make_shared<const InjectionRules>(rules);
  state->model = std::make_shared<const StretchModel>(StretchModel::from(rules));
  state->folder = std::make_shared<const Folder>();
  STOCKADE_ASSIGN(state->finder, TermFinder::create(rules, *state->folder, builtin_term_image()));
  state->rot13 = rules.concept_named("rot13");
  InjectionDetector out;
  out.state_ = std::move(state);
  return out;
}

Result<InjectionDetector> InjectionDetector::clone() const {
  InjectionDetector out;
  out.state_ = std::make_shared<State>(*state_);
  STOCKADE_ASSIGN(out.state_->finder, state_->finder.clone());
  return out;
}

const InjectionRules& InjectionDetector::rules() const { return *state_->rules; }

InjectionScore InjectionDetector::score_window(std::string_view text, TextFormat format, size_t offset,
                                               std::vector<InjectionFeatures>* features) const {
  WindowJudge judge(*state_->rules, *state_->model, *state_->folder, state_->finder, state_->rot13, state_->hits,
                    offset, features);
  // Most text is plain: nothing hidden, nothing to decode but itself.
  const bool plain = format == TextFormat::plain || (format == TextFormat::markdown && !has_byte(text, '<') &&
                                                     !has_byte(text, '[') && !has_byte(text, '&'));
  if (plain && is_ascii(text) && !has_byte(text, '\x1b')) {
    judge.read(text, {}, 0, text.size(), true);
    return judge.result();
  }
  const TextReading reading = read_text(text, format);
  if (reading.visible == text)
    judge.read(text, {}, 0, text.size(), true);
  else
    judge.read(reading.visible, {}, 0, text.size(), true);
  // Tags stripped, words may have joined that were apart; and what we took for markup may be text to a model.
  if (format == TextFormat::markdown && reading.visible != text) judge.read(text, {}, 0, text.size(), false);
  size_t views = 0;
  for (const HiddenText& piece : reading.hidden) {
    if (piece.kind == HiddenKind::tag_characters || piece.kind == HiddenKind::variation_selectors)
      judge.invisible_message(piece);
    if (piece.text.size() < 12 || piece.kind == HiddenKind::script || ++views > kHiddenViews) continue;
    ViewOrigin origin{.hidden = is_strongly_hidden(piece.kind),
                      .half_hidden = is_half_hidden(piece.kind),
                      .through = hidden_kind_name(piece.kind)};
    judge.read(piece.text, origin, piece.begin, piece.end, true);
  }
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
