#include "inspect/injection_stretch.h"

#include <algorithm>

namespace stockade::inspect {

namespace {

constexpr size_t kStretch = 320;  // characters that are judged together
constexpr size_t kContext = 240;  // bytes on each side in which explaining and quoting are looked for
constexpr size_t kCrowd = 4;      // so many meanings within kCrowdSpan characters are judged without a rule
constexpr size_t kCrowdSpan = 150;
constexpr size_t kNeighbourLimit = 96;  // terms within one stretch

struct Surroundings {
  bool quoted = false;
  bool fenced = false;
  bool codeish = false;  // between the brackets and semicolons of a program
  bool dense = false;    // many meanings in few words
  size_t mentions = 0;
};

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

// Opened by a quote that follows a space in running text, closed by one before a space or a sign: prose that quotes,
// not a string of JSON, CSV or code.
bool is_quoted(std::string_view view, size_t begin, size_t end) {
  const size_t from = begin > 60 ? begin - 60 : 0;
  for (size_t i = begin; i > from; --i) {
    const char c = view[i - 1];
    if (c == '\n' && i - 1 > 0 && view[i - 2] == '\n') return false;
    if (c != '"' && c != '`' && !(c == '\'' && (i == begin || !is_space(view[i])))) continue;
    if (i < 3 || (view[i - 2] != ' ' && view[i - 2] != '(' && view[i - 2] != '\n' &&
                  static_cast<unsigned char>(view[i - 2]) < 0x80))
      continue;
    const char before = view[i - 3];
    if (before == '=' || before == '{' || before == '[') continue;
    return view.substr(0, end + 160).find(c, std::max(end > 8 ? end - 8 : 0, i)) != std::string_view::npos;
  }
  return false;
}

bool is_fenced(std::string_view view, size_t begin) {
  size_t line = view.rfind('\n', begin);
  line = line == std::string_view::npos ? 0 : line + 1;
  const std::string_view rest = view.substr(line, begin - line + 1);
  if (rest.starts_with("> ") || rest.starts_with("    ") || rest.starts_with("\t")) return true;
  // An odd number of fences before it, among the last few kilobytes.
  size_t fences = 0;
  const size_t from = begin > 4096 ? begin - 4096 : 0;
  for (size_t at = view.find("```", from); at != std::string_view::npos && at < begin; at = view.find("```", at + 3))
    ++fences;
  return fences % 2 == 1;
}

bool is_codeish(std::string_view stretch) {
  size_t signs = 0;
  for (const char c : stretch)
    if (c == '{' || c == '}' || c == '(' || c == ')' || c == ';' || c == '=' || c == '$' || c == '\\' || c == '_')
      ++signs;
  return signs * 40 > stretch.size();
}

double sum_concepts(ConceptSet set, const std::vector<double>& weights) {
  double sum = 0;
  for (; set != 0; set &= set - 1) sum += weights[static_cast<size_t>(__builtin_ctzll(set))];
  return sum;
}

struct Judged {
  double logit = 0;
  size_t class_count = 0;
  std::bitset<32> classes;
};

Judged judge(ConceptSet concepts, const RuleSet& rules, const Surroundings& around, const ViewOrigin& origin,
             const StretchModel& model) {
  Judged out;
  out.logit = model.bias + sum_concepts(concepts, model.concepts);
  for (size_t i = 0; i < model.rules.size(); ++i) {
    if (!rules[i]) continue;
    out.logit += model.rules[i];
    out.classes.set(model.class_of_rule[i]);
  }
  for (size_t i = 0; i < model.classes.size(); ++i)
    if (out.classes[i]) out.logit += model.classes[i];
  if (rules[kCrowded]) out.logit += model.crowded;
  out.class_count = out.classes.count();
  out.logit += model.more_rules * static_cast<double>(std::min<size_t>(rules.count(), 8));
  out.logit += model.more_classes * static_cast<double>(std::min<size_t>(out.class_count, 5));
  if (origin.hidden) out.logit += model.hidden;
  if (origin.half_hidden) out.logit += model.half_hidden;
  if (origin.decoded) out.logit += model.decoded;
  if (origin.disguised) out.logit += model.disguised;
  if (around.dense) out.logit += model.dense;
  // Nobody explains to a reader what the reader can't see.
  if (origin.hidden || origin.decoded) return out;
  if (around.quoted) out.logit += model.quoted;
  if (around.fenced) out.logit += model.fenced;
  if (around.codeish) out.logit += model.codeish;
  if (around.mentions > 0) out.logit += model.mentioned;
  if (around.mentions > 2) out.logit += model.mentioned_often;
  return out;
}

InjectionFeatures describe(ConceptSet concepts, const RuleSet& rules, const Judged& judged, const Surroundings& around,
                           const ViewOrigin& origin, const InjectionRules& data, const StretchModel& model) {
  InjectionFeatures out;
  for (size_t i = 0; i < data.concepts.size(); ++i)
    if (concepts >> i & 1) out["concept." + data.concepts[i]] = 1;
  for (size_t i = 0; i < data.rules.size(); ++i)
    if (rules[i]) out["rule." + data.rules[i].id] = 1;
  for (size_t i = 0; i < model.class_names.size(); ++i)
    if (judged.classes[i]) out["class." + model.class_names[i]] = 1;
  if (rules[kCrowded]) out["crowded"] = 1;
  out["more_rules"] = static_cast<double>(std::min<size_t>(rules.count(), 8));
  out["more_classes"] = static_cast<double>(std::min<size_t>(judged.class_count, 5));
  const bool plain = !origin.hidden && !origin.decoded;
  if (origin.hidden) out["hidden"] = 1;
  if (origin.half_hidden) out["half_hidden"] = 1;
  if (origin.decoded) out["decoded"] = 1;
  if (origin.disguised) out["disguised"] = 1;
  if (plain && around.quoted) out["quoted"] = 1;
  if (plain && around.codeish) out["codeish"] = 1;
  if (around.dense) out["dense"] = 1;
  if (plain && around.fenced) out["fenced"] = 1;
  if (plain && around.mentions > 0) out["mentioned"] = 1;
  if (plain && around.mentions > 2) out["mentioned_often"] = 1;
  return out;
}

// The rules that the terms from `first` on satisfy, each counting `first` as one of its terms.
RuleSet rules_from(const std::vector<TermHit>& hits, size_t first, const StretchModel& model,
                   const InjectionRules& data) {
  RuleSet met;
  const TermHit& start = hits[first];
  const auto& candidates = model.rules_with[start.concept_index];
  ConceptSet seen = ConceptSet{1} << start.concept_index;
  size_t meanings = start.concept_index == model.mention ? 0 : 1;
  for (const uint8_t rule : candidates)
    if ((data.rules[rule].concepts & ~seen) == 0) met.set(rule);
  for (size_t i = first + 1; i < hits.size() && i - first < kNeighbourLimit; ++i) {
    const TermHit& hit = hits[i];
    const size_t distance = (hit.begin - start.begin) * 4 / start.bytes_a_character;
    if (distance > kInjectionSpanLimit) break;
    const ConceptSet bit = ConceptSet{1} << hit.concept_index;
    // One word that means two things does not make a rule of two.
    if (hit.begin == start.begin && hit.end == start.end) continue;
    if (seen & bit) continue;
    seen |= bit;
    if (hit.concept_index != model.mention && ++meanings >= kCrowd && distance <= kCrowdSpan) met.set(kCrowded);
    for (const uint8_t rule : candidates)
      if (!met[rule] && (data.rules[rule].concepts & bit) && (data.rules[rule].concepts & ~seen) == 0 &&
          distance <= data.rules[rule].span)
        met.set(rule);
  }
  return met;
}

}  // namespace

StretchModel StretchModel::from(const InjectionRules& rules) {
  StretchModel out;
  const auto weight = [&](const std::string& name, double otherwise = 0) {
    const auto found = rules.model.find(name);
    return found == rules.model.end() ? otherwise : found->second;
  };
  out.bias = weight("bias", -2);
  out.threshold = weight("threshold");
  const double rule_default = rules.model.empty() ? 2.0 : 0.0;
  for (const std::string& name : rules.concepts) out.concepts.push_back(weight("concept." + name));
  for (const InjectionRule& rule : rules.rules) {
    out.rules.push_back(weight("rule." + rule.id, rule_default));
    const auto found = std::find(out.class_names.begin(), out.class_names.end(), rule.attack_class);
    out.class_of_rule.push_back(static_cast<uint8_t>(found - out.class_names.begin()));
    if (found == out.class_names.end()) out.class_names.push_back(rule.attack_class);
    out.spans.push_back(rule.span);
  }
  out.class_names.resize(std::min<size_t>(out.class_names.size(), 32));
  for (auto& index : out.class_of_rule) index = std::min<uint8_t>(index, 31);
  for (const std::string& name : out.class_names) out.classes.push_back(weight("class." + name));
  out.rules_with.resize(kConceptLimit);
  for (size_t i = 0; i < rules.rules.size(); ++i)
    for (size_t c = 0; c < rules.concepts.size(); ++c)
      if (rules.rules[i].concepts >> c & 1) out.rules_with[c].push_back(static_cast<uint8_t>(i));
  out.hidden = weight("hidden");
  out.half_hidden = weight("half_hidden");
  out.decoded = weight("decoded");
  out.disguised = weight("disguised");
  out.quoted = weight("quoted");
  out.fenced = weight("fenced");
  out.crowded = weight("crowded");
  out.codeish = weight("codeish");
  out.dense = weight("dense");
  out.mentioned = weight("mentioned");
  out.mentioned_often = weight("mentioned_often");
  out.more_rules = weight("more_rules");
  out.more_classes = weight("more_classes");
  out.mention = rules.concept_named("mention");
  return out;
}

Stretch best_stretch(std::string_view view, const std::vector<TermHit>& hits, const ViewOrigin& origin,
                     const InjectionRules& rules, const StretchModel& model, std::vector<InjectionFeatures>* features) {
  Stretch best;
  std::vector<std::pair<size_t, RuleSet>> starts;
  for (size_t i = 0; i < hits.size(); ++i)
    if (const RuleSet met = rules_from(hits, i, model, rules); met.any()) starts.emplace_back(i, met);
  for (size_t s = 0; s < starts.size(); ++s) {
    const TermHit& start = hits[starts[s].first];
    const size_t length = kStretch * start.bytes_a_character / 4;
    RuleSet met;
    size_t last = s;
    for (size_t t = s;
         t < starts.size() && t - s < kNeighbourLimit && hits[starts[t].first].begin - start.begin <= length; ++t)
      met |= starts[last = t].second;
    ConceptSet concepts = 0;
    size_t end = start.end;
    for (size_t i = starts[s].first;
         i < hits.size() && hits[i].begin - start.begin <= length && i - starts[s].first < kNeighbourLimit; ++i) {
      if (hits[i].concept_index == model.mention) continue;
      concepts |= ConceptSet{1} << hits[i].concept_index;
      end = std::max<size_t>(end, hits[i].end);
    }
    Surroundings around;
    // A stretch that begins before its quotation speaks about it.
    around.quoted = is_quoted(view, start.begin, end) || is_quoted(view, hits[starts[last].first].begin, end);
    around.fenced = is_fenced(view, start.begin);
    around.codeish = is_codeish(view.substr(start.begin, end - start.begin));
    around.dense = __builtin_popcountll(concepts) >= 4 && (end - start.begin) * 4 / start.bytes_a_character <= 130;
    const size_t from = start.begin > kContext ? start.begin - kContext : 0;
    const auto first =
        std::lower_bound(hits.begin(), hits.end(), from, [](const TermHit& hit, size_t at) { return hit.begin < at; });
    for (auto hit = first; hit != hits.end() && hit->begin < end + kContext && around.mentions < 8; ++hit)
      if (hit->concept_index == model.mention) ++around.mentions;
    const Judged judged = judge(concepts, met, around, origin, model);
    if (features) features->push_back(describe(concepts, met, judged, around, origin, rules, model));
    if (judged.logit > best.logit) best = {judged.logit, met, concepts, start.begin, end};
  }
  return best;
}

}  // namespace stockade::inspect
