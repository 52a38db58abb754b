// Learns the weights of words: rules/injection_words.bin, and the section `model` of rules/injection.yaml.
//
//     [OPTION=VALUE…] injection_train rules/injection_words.bin < records        options: main() below
//
// Records on standard input: "LABEL FAMILY CLASS SIZE\n" + SIZE bytes. Label 1: somewhere in the text is an order; 0:
// nowhere. The stretch that scores highest under the weights so far stands for its text (multiple-instance learning),
// and one in each block of a harmless text. Logistic loss, AdaGrad, features dropped at random so that no text is known
// by heart by one word; a feature that fewer than two families of orders have may only lower the score. Every choice is
// seeded: the same records give the same weights. Prints the model's section.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "inspect/injection.h"
#include "inspect/injection_fold.h"
#include "inspect/injection_stretch.h"

namespace {

using namespace stockade::inspect;

// Harmless texts in the words of orders: rarer in the world than here, so the threshold does not count them.
constexpr std::string_view kAdversarial = "grammar";

struct Options {
  int epochs = 9;
  double rate = 0.3;
  double keep = 0.75;           // of features, the rest dropped
  double concepts_alone = 0.4;  // of the steps see no other feature
  double decay = 2e-6;          // of weights
  double attack_weight = 1;
  unsigned families = 2;
  double calm = 1;  // the greater, the more a weight waits for more texts
};

double option(const char* name, double otherwise) {
  const char* value = std::getenv(name);
  return value ? std::atof(value) : otherwise;
}

// Marks a feature of a concept in a language other than English.
constexpr uint32_t kForeignConcept = uint32_t{1} << 31;

struct FeatureRows {
  std::vector<uint32_t> features;  // of all tokens
  std::vector<uint32_t> ends;      // where those of each token end
};

struct TrainingView {
  std::string text;
  ViewOrigin origin;
  std::vector<Token> tokens;
  std::vector<TermHit> hits;
  FeatureRows rows;
  FeatureRows gate_rows;
};

struct Text {
  int label = 0;
  unsigned family = 0;
  std::string name;  // of its class
  bool held = false;
  std::vector<TrainingView> views;
};

class Collector : public ViewVisitor {
 public:
  Collector(const WordClasses& classes, const TermFinder& finder, size_t rot13, size_t mention, Text& out)
      : classes_(classes), finder_(finder), rot13_(rot13), mention_(mention), out_(out) {}

  bool visit(const View& view) override {
    TrainingView made{std::string(view.text), view.origin, {}, {}, {}, {}};
    finder_.find(made.text, made.hits);
    tokenize(made.text, classes_, made.tokens);
    const bool spoke = std::any_of(made.hits.begin(), made.hits.end(),
                                   [&](const TermHit& hit) { return hit.concept_index == rot13_; });
    if (made.tokens.empty()) return spoke;
    std::vector<std::vector<uint32_t>> concepts(made.tokens.size());
    size_t token = 0;
    for (size_t h = 0; h < made.hits.size(); ++h) {
      token = token_of(made.tokens, made.hits[h], token);
      const uint32_t mark = made.hits[h].foreign ? kForeignConcept : 0;
      concept_features(std::span<const TermHit>(made.hits), h, mention_,
                       [&](uint32_t feature) { concepts[token].push_back(feature | mark); });
    }
    for (size_t i = 0; i < made.tokens.size(); ++i) {
      const std::span<const Token> tokens(made.tokens);
      gate_features(tokens, i, [&](uint32_t feature) { made.gate_rows.features.push_back(feature); });
      made.gate_rows.ends.push_back(static_cast<uint32_t>(made.gate_rows.features.size()));
      auto& features = made.rows.features;
      word_features(tokens, i, [&](uint32_t feature) { features.push_back(feature); });
      for (const uint32_t feature : concepts[i]) features.push_back(feature);
      made.rows.ends.push_back(static_cast<uint32_t>(features.size()));
    }
    out_.views.push_back(std::move(made));
    return spoke;
  }
  void invisible_message(const HiddenText&) override {}

 private:
  const WordClasses& classes_;
  const TermFinder& finder_;
  size_t rot13_;
  size_t mention_;
  Text& out_;
};

class Learner {
 public:
  // The gate judges by fewer features, and by no circumstance.
  Learner(const Options& options, size_t mention, bool gate)
      : options_(options),
        mention_(mention),
        gate_(gate),
        count_(gate ? kGateCount : kFeatureCount),
        rows_(gate ? &TrainingView::gate_rows : &TrainingView::rows),
        weights_(count_),
        squares_(count_),
        common_(count_) {}

  void count_families(const std::vector<Text>& texts) {
    std::vector<unsigned> last(count_, ~0u);
    std::vector<unsigned> counts(count_);
    std::vector<const Text*> attacks;
    for (const Text& text : texts)
      if (text.label == 1 && !text.held) attacks.push_back(&text);
    std::stable_sort(attacks.begin(), attacks.end(), [](auto* a, auto* b) { return a->family < b->family; });
    for (const Text* text : attacks)
      for (const TrainingView& view : text->views)
        for (const uint32_t marked : (view.*rows_).features) {
          const uint32_t feature = marked & ~kForeignConcept;
          if (last[feature] == text->family) continue;
          last[feature] = text->family;
          ++counts[feature];
        }
    for (size_t i = 0; i < count_; ++i) common_[i] = counts[i] >= options_.families;
  }

  struct Found {
    const TrainingView* view = nullptr;
    WordStretch stretch;
    Circumstances around{};
    double logit = -1000;
  };

  // Every block's best stretch, best first.
  std::vector<Found> find(const Text& text, size_t limit) {
    std::vector<Found> out;
    for (const TrainingView& view : text.views) {
      const FeatureRows& rows = view.*rows_;
      sums_.resize(rows.ends.size());
      size_t at = 0;
      for (size_t i = 0; i < rows.ends.size(); ++i) {
        double sum = 0;
        for (; at < rows.ends[i]; ++at) sum += weights_[rows.features[at] & ~kForeignConcept];
        sums_[i] = sum;
      }
      best_word_stretches(std::span<const double>(sums_), stretches_);
      std::sort(stretches_.begin(), stretches_.end(), [](auto& a, auto& b) { return a.sum > b.sum; });
      if (stretches_.size() > limit * 2) stretches_.resize(limit * 2);
      for (const WordStretch& stretch : stretches_) {
        Found found{&view, stretch, {}, bias_ + stretch.sum};
        if (!gate_)
          found.around = circumstances_of(view.text, view.tokens[stretch.first].begin, view.tokens[stretch.last].end,
                                          view.hits, view.origin, mention_);
        for (size_t i = 0; i < kCircumstances; ++i)
          if (found.around[i]) found.logit += circumstances_[i];
        out.push_back(found);
      }
    }
    std::stable_sort(out.begin(), out.end(), [](auto& a, auto& b) { return a.logit > b.logit; });
    if (out.size() > limit) out.resize(limit);
    return out;
  }

  // From now on the weights are the mean of what they were each time: one more step's noise less.
  void remember() {
    if (sums_of_weights_.empty()) sums_of_weights_.resize(count_);
    for (size_t i = 0; i < count_; ++i) sums_of_weights_[i] += weights_[i];
    sum_of_biases_ += bias_;
    for (size_t i = 0; i < kCircumstances; ++i) sums_of_circumstances_[i] += circumstances_[i];
    ++remembered_;
  }
  void average() {
    const double count = static_cast<double>(remembered_);
    for (size_t i = 0; i < count_; ++i) weights_[i] = sums_of_weights_[i] / count;
    bias_ = sum_of_biases_ / count;
    for (size_t i = 0; i < kCircumstances; ++i) circumstances_[i] = sums_of_circumstances_[i] / count;
  }

  double score(const Text& text) {
    const auto found = find(text, 1);
    return found.empty() ? -1000 : found[0].logit;
  }

  void learn(const Text& text, double weight) {
    for (const Found& found : find(text, text.label == 1 ? 1 : 3)) step(found, text.label, weight);
  }

  // What passes: the bias left out.
  double bare_score(const Text& text) { return score(text) - bias_; }
  // Blocks of a text that reach a bare score, and all of them.
  std::pair<size_t, size_t> blocks_from(const Text& text, double least) {
    std::pair<size_t, size_t> out{0, 0};
    for (const Found& found : find(text, 1'000'000)) {
      ++out.second;
      out.first += found.logit - bias_ >= least;
    }
    return out;
  }

  const std::vector<double>& weights() const { return weights_; }
  double bias() const { return bias_; }
  const std::array<double, kCircumstances>& circumstances() const { return circumstances_; }

 private:
  void step(const Found& found, int label, double weight) {
    const FeatureRows& rows = (*found.view).*rows_;
    const size_t begin = found.stretch.first == 0 ? 0 : rows.ends[found.stretch.first - 1];
    const size_t end = rows.ends[found.stretch.last];
    kept_.clear();
    double logit = bias_;
    for (size_t i = 0; i < kCircumstances; ++i)
      if (found.around[i]) logit += circumstances_[i];
    // What is dropped is made up for by what is kept.
    // In other languages the concepts often stand alone, so that they carry an order whose words nobody learnt.
    const bool concepts_alone =
        !gate_ && uniform_(random_) < options_.concepts_alone &&
        std::any_of(
            rows.features.begin() + static_cast<ptrdiff_t>(begin), rows.features.begin() + static_cast<ptrdiff_t>(end),
            [](uint32_t feature) { return (feature & kForeignConcept) != 0; });
    for (size_t i = begin; i < end; ++i) {
      const bool kept = concepts_alone ? (rows.features[i] & kForeignConcept) != 0 : uniform_(random_) < options_.keep;
      if (kept) kept_.push_back(rows.features[i] & ~kForeignConcept);
    }
    for (const uint32_t feature : kept_) logit += weights_[feature] / (concepts_alone ? 1 : options_.keep);
    const double p = 1 / (1 + std::exp(-std::clamp(logit, -30.0, 30.0)));
    const double error = (p - label) * weight;
    for (const uint32_t feature : kept_) {
      const double g = error + options_.decay * weights_[feature];
      squares_[feature] += g * g;
      double& w = weights_[feature];
      w -= options_.rate * g / (std::sqrt(squares_[feature]) + options_.calm);
      if (!common_[feature]) w = std::min(w, 0.0);
    }
    const auto slow = [&](double& w, double& square) {
      square += error * error;
      w -= options_.rate * error / (std::sqrt(square) + 1);
    };
    slow(bias_, bias_square_);
    for (size_t i = 0; i < kCircumstances; ++i) {
      if (!found.around[i]) continue;
      slow(circumstances_[i], circumstance_squares_[i]);
      // What may only raise and what may only lower the score.
      const bool raises = i <= static_cast<size_t>(Circumstance::disguised);
      circumstances_[i] = raises ? std::clamp(circumstances_[i], 0.0, 3.0) : std::clamp(circumstances_[i], -4.0, 0.0);
    }
  }

  Options options_;
  size_t mention_;
  bool gate_;
  size_t count_;
  FeatureRows TrainingView::* rows_;
  std::vector<double> weights_;
  std::vector<double> squares_;
  std::vector<char> common_;
  double bias_ = -3;
  double bias_square_ = 0;
  std::array<double, kCircumstances> circumstances_{};
  std::array<double, kCircumstances> circumstance_squares_{};
  std::vector<double> sums_of_weights_;
  double sum_of_biases_ = 0;
  std::array<double, kCircumstances> sums_of_circumstances_{};
  size_t remembered_ = 0;
  std::vector<double> sums_;
  std::vector<WordStretch> stretches_;
  std::vector<uint32_t> kept_;
  std::mt19937_64 random_{7};
  std::uniform_real_distribution<double> uniform_{0, 1};
};

// Whether a name begins with one of the prefixes, which commas part.
bool is_named(std::string_view prefixes, std::string_view name) {
  while (!prefixes.empty()) {
    const size_t end = std::min(prefixes.find(','), prefixes.size());
    if (name.starts_with(prefixes.substr(0, end))) return true;
    prefixes.remove_prefix(std::min(end + 1, prefixes.size()));
  }
  return false;
}

// The logit that `rate` of the harmless texts left out pass.
double threshold_of(const std::vector<Text>& texts, Learner& learner, double rate) {
  std::vector<double> scores;
  for (const Text& text : texts)
    if (text.label == 0 && text.held && text.name != kAdversarial) scores.push_back(learner.score(text));
  if (scores.empty()) return 0;
  std::sort(scores.rbegin(), scores.rend());
  return scores[static_cast<size_t>(rate * static_cast<double>(scores.size()))];
}

// The sum that all but few of the orders found reach.
double gate_of(const std::vector<Text>& texts, Learner& learner, Learner& gate, double threshold, double lost) {
  std::vector<double> sums;
  std::vector<double> held;
  for (const Text& text : texts)
    if (text.label == 1 && learner.score(text) > threshold) (text.held ? held : sums).push_back(gate.bare_score(text));
  std::sort(sums.begin(), sums.end());
  // Orders in words that were not learnt have smaller sums.
  const double least = 0.6 * sums[static_cast<size_t>(lost * static_cast<double>(sums.size()))];
  const auto below = std::count_if(held.begin(), held.end(), [&](double sum) { return sum < least; });
  std::pair<size_t, size_t> blocks{0, 0};
  for (const Text& text : texts) {
    if (text.label == 1 || !text.held) continue;
    const auto [passed, all] = gate.blocks_from(text, least);
    blocks.first += passed;
    blocks.second += all;
  }
  std::fprintf(stderr, "gate %.3f: loses %td of %zu orders left out, lets %.3f of harmless blocks pass\n", least, below,
               held.size(), static_cast<double>(blocks.first) / static_cast<double>(blocks.second));
  return least;
}

// What was left out of the fit, by class.
void report_held(const std::vector<Text>& texts, Learner& learner, double threshold) {
  std::map<std::string, std::pair<size_t, size_t>> rates;
  for (const Text& text : texts) {
    if (!text.held) continue;
    auto& [hits, all] = rates[(text.label == 1 ? "" : "harmless ") + text.name];
    const double score = learner.score(text);
    hits += score > threshold;
    if (std::getenv("SHOW") && (score > threshold) != (text.label == 1))
      std::fprintf(stderr, "%s %s %.2f: %.400s\n====\n", text.label == 1 ? "MISS" : "ALARM", text.name.c_str(),
                   score - threshold, text.views.empty() ? "" : text.views[0].text.c_str());
    ++all;
  }
  double sum = 0;
  size_t classes = 0;
  for (const auto& [name, counts] : rates) {
    const double rate = 100.0 * static_cast<double>(counts.first) / static_cast<double>(counts.second);
    std::fprintf(stderr, "%s %.1f, ", name.c_str(), rate);
    if (!name.starts_with("harmless")) sum += rate, ++classes;
  }
  std::fprintf(stderr, "| mean %.2f\n", sum / static_cast<double>(std::max<size_t>(classes, 1)));
}

// Appends the weights to a file of rules/, in steps of what is returned.
double write_weights(const std::vector<double>& weights, std::FILE* file) {
  double greatest = 0;
  for (const double w : weights) greatest = std::max(greatest, std::abs(w));
  const double scale = std::min(greatest, 6.0) / 127;
  for (const double w : weights)
    std::fputc(static_cast<unsigned char>(static_cast<int8_t>(std::clamp(std::lround(w / scale), -127L, 127L))), file);
  return scale;
}

void fit(Learner& learner, const std::vector<Text>& texts, const std::map<unsigned, size_t>& family_sizes,
         const Options& options) {
  learner.count_families(texts);
  std::mt19937_64 random(11);
  std::vector<size_t> order(texts.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  for (int epoch = 0; epoch < options.epochs; ++epoch) {
    std::shuffle(order.begin(), order.end(), random);
    for (size_t done = 0; done < order.size(); ++done) {
      const Text& text = texts[order[done]];
      if (epoch >= options.epochs / 3 && done % 5000 == 4999) learner.remember();
      if (text.held) continue;
      // Each family of orders counts by the root of its size.
      const double weight =
          text.label == 1 ? options.attack_weight / std::sqrt(static_cast<double>(family_sizes.at(text.family))) : 1;
      learner.learn(text, weight);
    }
  }
  learner.average();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  Options options;
  options.epochs = static_cast<int>(option("EPOCHS", options.epochs));
  options.rate = option("RATE", options.rate);
  options.calm = option("CALM", options.calm);
  options.concepts_alone = option("CONCEPTS_ALONE", options.concepts_alone);
  options.keep = option("KEEP", options.keep);
  options.decay = option("DECAY", options.decay);
  options.families = static_cast<unsigned>(option("FAMILIES", options.families));
  options.attack_weight = option("ATTACK_WEIGHT", options.attack_weight);
  const double false_positives = option("FALSE_POSITIVES", 0.005);
  const auto rules = parse_injection_rules(bundled_injection_rules());
  if (!rules) return 1;
  const Folder folder;
  const auto finder = TermFinder::create(*rules, folder);
  if (!finder) return 1;
  const auto classes = WordClasses::parse(bundled_word_classes(), folder);
  if (!classes) return 1;
  const size_t mention = rules->concept_named("mention");
  const char* hold_class = std::getenv("HOLD_CLASS");
  const int hold_fold = static_cast<int>(option("HOLD_FOLD", -1));
  std::vector<Text> texts;
  for (std::string line; std::getline(std::cin, line);) {
    Text text;
    size_t size = 0;
    char name[64];
    if (std::sscanf(line.c_str(), "%d %u %63s %zu", &text.label, &text.family, name, &size) != 4) return 1;
    text.name = name;
    // One in eight harmless texts is never learnt from: the threshold is what few of these pass.
    text.held = text.label == 0  ? texts.size() * 7919 / 13 % 8 == 0
                : hold_class     ? is_named(hold_class, text.name)
                : hold_fold >= 0 ? text.family % 4 == static_cast<unsigned>(hold_fold)
                                 : false;
    std::string bytes(size, '\0');
    std::cin.read(bytes.data(), static_cast<std::streamsize>(size));
    const std::string_view window = std::string_view(bytes).substr(0, kInjectionWindow);
    Collector collector(*classes, *finder, rules->concept_named("rot13"), mention, text);
    read_views(window, guess_format(window), folder, collector);
    texts.push_back(std::move(text));
  }
  std::map<unsigned, size_t> family_sizes;
  size_t attacks = 0;
  for (const Text& text : texts)
    if (text.label == 1) ++family_sizes[text.family], ++attacks;
  Learner learner(options, mention, false);
  fit(learner, texts, family_sizes, options);
  const double threshold = threshold_of(texts, learner, false_positives);
  report_held(texts, learner, threshold);
  size_t caught = 0;
  for (const Text& text : texts) caught += text.label == 1 && learner.score(text) > threshold;
  std::fprintf(stderr, "caught %.4f of %zu attacks, %zu harmless\n",
               static_cast<double>(caught) / static_cast<double>(attacks), attacks, texts.size() - attacks);
  Options fewer = options;
  fewer.epochs = std::max(2, options.epochs / 2);
  Learner gate(fewer, mention, true);
  fit(gate, texts, family_sizes, fewer);
  const double least = gate_of(texts, learner, gate, threshold, option("GATE_LOSS", 0.003));
  std::FILE* file = std::fopen(argv[1], "wb");
  if (!file) return 1;
  const double scale = write_weights(learner.weights(), file);
  const double gate_scale = write_weights(gate.weights(), file);
  std::fclose(file);
  std::printf("model:\n  bias: %.4f\n  scale: %.5f\n  threshold: %.4f\n  gate: %.1f\n", learner.bias(), scale,
              threshold, least / gate_scale);
  for (size_t i = 0; i < kCircumstances; ++i)
    std::printf("  %s: %.4f\n", std::string(kCircumstanceNames[i]).c_str(), learner.circumstances()[i]);
  return 0;
}
