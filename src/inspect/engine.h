// Engine: rules (compiled_rules.h) and known values. Immutable, shared by all threads. Scanner: what one thread needs
// to use it (scratch memory); not shared.
//
// A scan has two stages. All patterns at once run over the raw bytes; only where one ends, RE2 (which compiles each
// pattern at its first hit) finds where the match starts and what the secret in it is, and the validators judge that.
// Then the decoders (decode.h) look for encoded text, and what they find is scanned the same way, to depth 6. The work
// is bounded by a budget that grows with the input; where it runs out, that is a finding.
//
// Not covered: values split over several places (the caller joins them), and encodings that no decoder knows.
#pragma once

#include <memory>
#include <mutex>
#include <span>

#include "inspect/compiled_rules.h"
#include "inspect/decode.h"
#include "inspect/known_values.h"
#include "inspect/validators.h"

struct hs_scratch;
namespace re2 {
class RE2;
}

namespace stockade::inspect {

inline constexpr int kDepthLimit = 6;
inline constexpr size_t kMatchLimit = 1000;    // findings of one scan; further ones are not listed
inline constexpr size_t kWorkLeast = 1 << 20;  // decoded bytes that any scan may cost
inline constexpr size_t kWorkPerByte = 24;     // and how many more for each byte of input
inline constexpr std::string_view kKnownRule = "known-value";
inline constexpr std::string_view kCanaryRule = "canary";
inline constexpr std::string_view kBudgetRule = "inspection-budget";

struct EngineOptions {
  std::shared_ptr<const CompiledRules> rules;
  std::vector<KnownValue> known;
  FingerprintKey key{};
};

class Engine {
 public:
  static Result<std::shared_ptr<const Engine>> create(EngineOptions options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const CompiledRules& rules() const { return *rules_; }
  const KnownValues& known() const { return known_; }
  const FingerprintKey& key() const { return key_; }
  // Bytes a match may have in the raw text: what a stream must be able to hold back.
  size_t longest_span() const { return longest_span_; }

 private:
  friend class Scanner;
  struct Confirmation {
    std::once_flag once;
    std::unique_ptr<const re2::RE2> pattern;
  };
  explicit Engine(std::shared_ptr<const CompiledRules> rules);
  const re2::RE2& confirmation(size_t rule) const;

  std::shared_ptr<const CompiledRules> rules_;
  mutable std::vector<Confirmation> confirmations_;  // one a rule, made when it is needed
  KnownValues known_;
  int phrase_rule_ = -1;
  std::vector<uint32_t> digit_rules_;  // not in the database: see Rule::prefilter
  std::vector<uint32_t> run_rules_;
  FingerprintKey key_{};
  size_t longest_span_ = 0;
};

// One match, before it is put into words: offsets in the raw bytes.
struct Match {
  int rule = -1;  // index into rules(); or one of the below
  static constexpr int kKnown = -2;
  static constexpr int kBudget = -3;
  size_t begin = 0;
  size_t end = 0;
  std::string through;
  std::string excerpt;
  std::string fingerprint;
  std::string detail;  // known values: which one, and whether all of it
  bool canary = false;
  Severity severity = Severity::high;
};

class Scanner {
 public:
  static Result<Scanner> create(std::shared_ptr<const Engine> engine);
  Scanner(Scanner&& other) noexcept;
  Scanner& operator=(Scanner&&) = delete;
  ~Scanner();

  const Engine& engine() const { return *engine_; }
  // Sorted by offset; of matches that overlap the one that says most.
  std::vector<Match> scan(Direction direction, std::string_view bytes);
  // A small value as a whole. `place` gives context to the rules ("header:x-api-key" names the key that it is), and
  // "host" is looked at with and without its dots. Offsets are in `bytes`.
  std::vector<Finding> scan_value(Direction direction, std::string_view place, std::string_view bytes);
  Finding to_finding(const Match& match, Direction direction, std::string_view place, uint64_t offset) const;
  // For the benchmark: the first stage alone.
  size_t prefilter_only(std::string_view bytes);

 private:
  struct Hit {
    uint32_t id;
    size_t first;
    size_t last;
  };
  struct Level;
  explicit Scanner(std::shared_ptr<const Engine> engine) : engine_(std::move(engine)) {}

  static int on_hit(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void* self);
  void scan_level(const Level& level);
  bool prefilter(std::string_view bytes);  // false: not looked at
  void find_numbers(std::string_view bytes, std::vector<Hit>& hits) const;
  void find_long_runs(std::string_view bytes, std::vector<Hit>& hits) const;
  void confirm(const Level& level, const Hit& hit, size_t& done);
  bool judge(const CompiledRules::Record& rule, std::string_view secret) const;
  void add(const Level& level, size_t begin, size_t end, Match match, std::string_view secret);
  void find_known(const Level& level);
  void find_phrases(const Level& level);
  void derive(const Level& level, const std::vector<Hit>& hits);
  void follow_trigger(const Level& level, const Hit& hit, Views& views);
  void note_unseen(const Level& level, std::string_view why);
  void note_inflated(const Level& level, Inflated result);

  std::shared_ptr<const Engine> engine_;
  hs_scratch* scratch_ = nullptr;
  Direction direction_ = Direction::out;
  std::vector<Hit> hits_;
  std::vector<uint32_t> last_hit_;  // per id: index into hits_ plus one
  std::vector<Match> matches_;
  size_t work_left_ = 0;
  bool out_of_budget_ = false;
};

}  // namespace stockade::inspect
