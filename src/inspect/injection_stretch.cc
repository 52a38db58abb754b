#include "inspect/injection_stretch.h"

#include <algorithm>

namespace stockade::inspect {

namespace {

constexpr size_t kContext = 240;        // bytes on each side in which explaining is looked for
constexpr size_t kGateMargin = 24;      // tokens judged on both sides of what the gate lets through
constexpr size_t kWordsShown = 80;      // bytes
constexpr size_t kNeighbourLimit = 96;  // terms within one span of a rule

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

}  // namespace

StretchModel StretchModel::from(const InjectionRules& rules) {
  StretchModel out;
  const auto weight = [&](std::string_view name) {
    const auto found = rules.model.find(name);
    return found == rules.model.end() ? 0.0 : found->second;
  };
  out.bias = weight("bias");
  out.threshold = weight("threshold");
  out.scale = weight("scale");
  out.gate = weight("gate");
  for (size_t i = 0; i < kCircumstances; ++i) out.circumstances[i] = weight(kCircumstanceNames[i]);
  out.mention = rules.concept_named("mention");
  return out;
}

Circumstances circumstances_of(std::string_view view, size_t begin, size_t end, const std::vector<TermHit>& hits,
                               const ViewOrigin& origin, size_t mention) {
  Circumstances out{};
  const auto set = [&](Circumstance c, bool value) { out[static_cast<size_t>(c)] = value; };
  set(Circumstance::hidden, origin.hidden);
  set(Circumstance::half_hidden, origin.half_hidden);
  set(Circumstance::decoded, origin.decoded);
  set(Circumstance::disguised, origin.disguised);
  if (origin.hidden || origin.decoded) return out;
  set(Circumstance::quoted, is_quoted(view, begin, end));
  set(Circumstance::fenced, is_fenced(view, begin));
  set(Circumstance::codeish, is_codeish(view.substr(begin, end - begin)));
  size_t mentions = 0;
  const size_t from = begin > kContext ? begin - kContext : 0;
  auto hit = std::lower_bound(hits.begin(), hits.end(), from, [](const TermHit& h, size_t at) { return h.begin < at; });
  for (; hit != hits.end() && hit->begin < end + kContext; ++hit) mentions += hit->concept_index == mention;
  set(Circumstance::mentioned, mentions > 0);
  set(Circumstance::mentioned_often, mentions > 2);
  return out;
}

RuleSet rules_met(const std::vector<TermHit>& hits, size_t begin, size_t end, const InjectionRules& rules) {
  RuleSet met;
  for (size_t first = 0; first < hits.size(); ++first) {
    const TermHit& start = hits[first];
    if (start.begin < begin || start.begin >= end) continue;
    ConceptSet seen = ConceptSet{1} << start.concept_index;
    for (size_t i = first; i < hits.size() && i - first < kNeighbourLimit; ++i) {
      const TermHit& hit = hits[i];
      const size_t distance = (hit.begin - start.begin) * 4 / start.bytes_a_character;
      if (hit.begin >= end || distance > kInjectionSpanLimit) break;
      // One word that means two things does not make a rule of two.
      if (i > first && hit.begin == start.begin && hit.end == start.end) continue;
      const ConceptSet bit = ConceptSet{1} << hit.concept_index;
      if (i > first && (seen & bit)) continue;
      seen |= bit;
      for (size_t rule = 0; rule < rules.rules.size(); ++rule) {
        const InjectionRule& wanted = rules.rules[rule];
        if ((wanted.concepts >> start.concept_index & 1) && (wanted.concepts & ~seen) == 0 && distance <= wanted.span)
          met.set(rule);
      }
    }
  }
  return met;
}

// Where the sum of the gate's features is what orders have, with room on both sides.
void StretchJudge::pass_gate(const ViewOrigin& origin) {
  const std::span<const Token> tokens(tokens_);
  saw_rot13_ = false;
  regions_.clear();
  if (tokens.empty()) return;
  gate_.resize(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    int32_t sum = 0;
    gate_features(tokens, i, [&](uint32_t feature) { sum += words_[kFeatureCount + feature]; });
    gate_[i] = sum;
    saw_rot13_ = saw_rot13_ || tokens[i].meaning == class_named("rot13");
  }
  // What was hidden is short, and its surroundings say nothing for it.
  if (origin.hidden || origin.decoded || origin.disguised) {
    regions_.push_back({0, tokens.size() - 1});
    return;
  }
  best_word_stretches(std::span<const int32_t>(gate_), stretches_);
  for (const WordStretch& found : stretches_) {
    if (found.sum < model_.gate) continue;
    const size_t first = found.first > kGateMargin ? found.first - kGateMargin : 0;
    const size_t last = std::min(found.last + kGateMargin, tokens.size() - 1);
    if (!regions_.empty() && first <= regions_.back().last + kGateMargin)
      regions_.back().last = std::max(last, regions_.back().last);
    else
      regions_.push_back({first, last});
  }
}

// Finds the terms in and around a region, and weighs its tokens.
void StretchJudge::read_region(std::string_view view, Region region) {
  const std::span<const Token> tokens(tokens_);
  const size_t begin = tokens[region.first].begin > kContext ? tokens[region.first].begin - kContext : 0;
  const size_t end = std::min<size_t>(tokens[region.last].end + kContext, view.size());
  finder_.find(view.substr(begin, end - begin), hits_);
  for (TermHit& hit : hits_) {
    hit.begin += static_cast<uint32_t>(begin);
    hit.end += static_cast<uint32_t>(begin);
  }
  weights_.resize(region.last - region.first + 1);
  for (size_t i = region.first; i <= region.last; ++i) {
    int32_t sum = 0;
    word_features(tokens, i, [&](uint32_t feature) { sum += words_[feature]; });
    weights_[i - region.first] = sum;
  }
  size_t token = region.first;
  for (size_t h = 0; h < hits_.size(); ++h) {
    if (hits_[h].begin < tokens[region.first].begin) continue;
    token = token_of(tokens, hits_[h], token);
    if (token > region.last) break;
    concept_features(std::span<const TermHit>(hits_), h, model_.mention,
                     [&](uint32_t feature) { weights_[token - region.first] += words_[feature]; });
  }
}

Stretch StretchJudge::best(std::string_view view, const ViewOrigin& origin) {
  Stretch best;
  tokenize(view, classes_, tokens_);
  pass_gate(origin);
  double most_around = 0;
  for (const double weight : model_.circumstances) most_around += std::max(weight, 0.0);
  for (const Region& region : std::vector<Region>(regions_)) {
    read_region(view, region);
    best_word_stretches(std::span<const int32_t>(weights_), stretches_);
    for (const WordStretch& found : stretches_) {
      double logit = model_.bias + found.sum * model_.scale;
      if (logit + most_around <= best.logit) continue;
      const size_t first = region.first + found.first;
      const size_t last = region.first + found.last;
      const size_t begin = tokens_[first].begin;
      const size_t end = tokens_[last].end;
      const Circumstances around = circumstances_of(view, begin, end, hits_, origin, model_.mention);
      for (size_t i = 0; i < kCircumstances; ++i)
        if (around[i]) logit += model_.circumstances[i];
      if (logit > best.logit) best = {logit, begin, end, first, last};
    }
  }
  return best;
}

RuleSet StretchJudge::rules_of(std::string_view view, const Stretch& stretch, const InjectionRules& rules) {
  read_region(view, {stretch.first, stretch.last});
  return rules_met(hits_, stretch.begin, stretch.end, rules);
}

std::vector<std::string> StretchJudge::strongest_words(std::string_view view, const Stretch& stretch, size_t count) {
  read_region(view, {stretch.first, stretch.last});
  std::vector<size_t> order;
  for (size_t i = 0; i < weights_.size(); ++i)
    if (weights_[i] > 0) order.push_back(i);
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return weights_[a] != weights_[b] ? weights_[a] > weights_[b] : a < b; });
  order.resize(std::min(order.size(), count));
  std::vector<std::string> out;
  for (const size_t i : order) {
    // A word weighs with those before it.
    const Token& from = tokens_[stretch.first + (i > 2 ? i - 2 : 0)];
    const Token& to = tokens_[stretch.first + i];
    out.emplace_back(view.substr(from.begin, std::min<size_t>(to.end - from.begin, kWordsShown)));
  }
  return out;
}

}  // namespace stockade::inspect
