#include <hs/hs.h>
#include <re2/re2.h>

#include <algorithm>
#include <bit>
#include <functional>
#include <set>

#include "inspect/alphabets.h"
#include "inspect/bip39.h"
#include "inspect/engine.h"

namespace stockade::inspect {

namespace {

constexpr size_t kTurnedBefore = 64;  // around a prefix in ROT13, or before a backward one's end
constexpr size_t kTurnedAfter = 700;
constexpr size_t kPhraseStep = 40;  // twelve words of three letters or more, and what is between them, are longer
constexpr size_t kPhraseGap = 8;
constexpr size_t kPhraseDistinct = 6;
constexpr size_t kPhraseWords = 64;
constexpr size_t kTriggerLimit = 64;  // of a level: hostile text repeats them
constexpr size_t kScanLimit = 1u << 30;

// Calls `found` for each run of at least `least` characters of `alphabet` in text[from, to). Most of it is not looked
// at.
template <typename Found>
void for_each_run(std::string_view text, size_t from, size_t to, const DigitTable& alphabet, size_t least,
                  Found found) {
  const auto belongs = [&](size_t at) { return digit_of(alphabet, text[at]) >= 0; };
  for (size_t probe = from + least - 1; probe < to;) {
    if (!belongs(probe)) {
      probe += least;
      continue;
    }
    size_t begin = probe, end = probe + 1;
    while (begin > from && belongs(begin - 1)) --begin;
    while (end < to && belongs(end)) ++end;
    if (end - begin >= least) found(begin, end);
    from = end;
    probe = end + least;  // what ends the run is no part of the next
  }
}

struct Run {
  const DigitTable& alphabet;
  size_t least;  // the shortest that a match needs
};

constexpr size_t kAnyRun = 44;  // the least of them

Run run_of(CompiledRules::Stage stage) {
  if (stage == CompiledRules::Stage::token_run) return {kTokenCharacters, 59};
  if (stage == CompiledRules::Stage::capitals_run) return {kCapitals, kAnyRun};
  return {kBase58, 50};
}

// What people put between the words of a phrase: blanks, line ends, commas, quotes, numbers; not what code does.
bool is_phrase_gap(std::string_view gap) {
  return gap.find_first_not_of(" \t\r\n,;\"'0123456789.-|\\") == std::string_view::npos;
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// What the name of a place adds to its value: "header:x-api-key" → "x-api-key: ".
std::string context_of(std::string_view place) {
  const auto colon = place.find(':');
  if (colon == std::string_view::npos || place.starts_with("body")) return {};
  return fmt::format("{}: ", place.substr(colon + 1));
}

}  // namespace

// One text, and how it came about: the chain of views up to the raw bytes.
struct Scanner::Level {
  std::string_view bytes;
  const View* view = nullptr;
  const Level* parent = nullptr;
  int depth = 0;
  bool turned = false;  // in ROT13 or backwards already: not again
};

Result<Scanner> Scanner::create(std::shared_ptr<const Engine> engine) {
  Scanner scanner(std::move(engine));
  if (hs_alloc_scratch(scanner.engine_->rules().database(), &scanner.scratch_) != HS_SUCCESS)
    return fail(ErrorKind::unavailable, "allocate the scratch memory of an inspection: out of memory");
  scanner.last_hit_.resize(scanner.engine_->rules().rules().size() + scanner.engine_->rules().triggers().size());
  return scanner;
}

Scanner::Scanner(Scanner&& other) noexcept
    : engine_(std::move(other.engine_)),
      scratch_(std::exchange(other.scratch_, nullptr)),
      hits_(std::move(other.hits_)),
      last_hit_(std::move(other.last_hit_)) {}

Scanner::~Scanner() { hs_free_scratch(scratch_); }

int Scanner::on_hit(unsigned id, unsigned long long, unsigned long long to, unsigned, void* self) {
  Scanner& scanner = *static_cast<Scanner*>(self);
  uint32_t& slot = scanner.last_hit_[id];
  // A pattern with an open end reports every byte that goes on with it.
  if (slot != 0 && to <= scanner.hits_[slot - 1].last + 16) {
    scanner.hits_[slot - 1].last = to;
    return 0;
  }
  scanner.hits_.push_back({id, to, to});
  slot = static_cast<uint32_t>(scanner.hits_.size());
  return 0;
}

bool Scanner::prefilter(std::string_view bytes) {
  for (const Hit& hit : hits_) last_hit_[hit.id] = 0;
  hits_.clear();
  return bytes.size() <= kScanLimit &&
         hs_scan(engine_->rules().database(), bytes.data(), static_cast<unsigned>(bytes.size()), 0, scratch_,
                 &Scanner::on_hit, this) == HS_SUCCESS;
}

// Card numbers and IBANs begin with no literal, and would cost the prefilter as much as all other rules together. They
// have a digit at every fourth byte, or one of its neighbours in four; so most of a text is not looked at.
void Scanner::find_numbers(std::string_view bytes, std::vector<Hit>& hits) const {
  if (engine_->digit_rules_.empty()) return;
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto belongs = [&](char c) { return is_digit(c) || (c >= 'A' && c <= 'Z') || c == ' ' || c == '-'; };
  size_t floor = 0;
  for (size_t probe = 3; probe < bytes.size(); probe += 4) {
    if (!is_digit(bytes[probe])) continue;
    size_t begin = probe, end = probe, digits = 0, letters = 0;
    while (begin > floor && belongs(bytes[begin - 1])) --begin;
    for (; end < bytes.size() && belongs(bytes[end]); ++end) digits += is_digit(bytes[end]);
    for (size_t i = begin; i < probe; ++i) digits += is_digit(bytes[i]);
    letters = end - begin - digits;
    if (digits >= 10 && digits + letters >= 13)
      for (const uint32_t rule : engine_->digit_rules_) hits.push_back({rule, begin, end});
    floor = end;
    probe = std::max(probe, end);
  }
}

void Scanner::find_long_runs(std::string_view bytes, std::vector<Hit>& hits) const {
  for_each_run(bytes, 0, bytes.size(), kRunCharacters, kAnyRun, [&](size_t from, size_t to) {
    for (const uint32_t rule : engine_->run_rules_) {
      const Run run = run_of(engine_->rules().rules()[rule].stage);
      for_each_run(bytes, from, to, run.alphabet, run.least,
                   [&](size_t begin, size_t end) { hits.push_back({rule, begin, end}); });
    }
  });
}

size_t Scanner::prefilter_only(std::string_view bytes) {
  prefilter(bytes);
  find_numbers(bytes, hits_);
  find_long_runs(bytes, hits_);
  const size_t count = hits_.size();
  hits_.clear();  // those are of no pattern
  last_hit_.assign(last_hit_.size(), 0);
  return count;
}

bool Scanner::judge(const CompiledRules::Record& rule, std::string_view secret) const {
  if (rule.entropy > 0 && shannon_entropy(secret) < rule.entropy) return false;
  for (unsigned left = rule.validators; left != 0; left &= left - 1)
    if (!passes(static_cast<Validator>(std::countr_zero(left)), secret)) return false;
  return true;
}

// All matches of a rule that end between the hit's first and last end. `done`: where the rule's last match ended.
void Scanner::confirm(const Level& level, const Hit& hit, size_t& done) {
  const CompiledRules::Record& rule = engine_->rules().rules()[hit.id];
  if (!rule.looks_at(direction_)) return;
  const re2::RE2& pattern = engine_->confirmation(hit.id);
  if (!pattern.ok()) return note_unseen(level, "a pattern could not be compiled");
  const re2::StringPiece text(level.bytes.data(), level.bytes.size());
  size_t from = std::max<size_t>(done, hit.first > rule.span ? hit.first - rule.span : 0);
  const size_t stop = std::min(level.bytes.size(), hit.last + rule.span);
  const bool grouped = pattern.NumberOfCapturingGroups() > 0;
  while (from < hit.last && matches_.size() < kMatchLimit) {
    re2::StringPiece parts[2];
    if (!pattern.Match(text, from, stop, re2::RE2::UNANCHORED, parts, grouped ? 2 : 1)) break;
    const re2::StringPiece& secret = grouped && parts[1].data() ? parts[1] : parts[0];
    const auto begin = static_cast<size_t>(secret.data() - text.data());
    const std::string_view value(secret.data(), secret.size());
    if (!value.empty() && judge(rule, value)) {
      Match match;
      match.rule = static_cast<int>(hit.id);
      match.severity = rule.severity;
      add(level, begin, begin + value.size(), std::move(match), value);
      from = begin + value.size();
    } else {
      // Not this one; but another may begin inside of it.
      from = static_cast<size_t>(parts[0].data() - text.data()) + std::max<size_t>(1, parts[0].size() / 2);
    }
    done = from;
  }
}

void Scanner::add(const Level& level, size_t begin, size_t end, Match match, std::string_view secret) {
  if (matches_.size() >= kMatchLimit) return;
  for (const Level* at = &level; at->view; at = at->parent) {
    std::tie(begin, end) = at->view->source_of(begin, end);
    match.through =
        match.through.empty() ? std::string(at->view->through) : fmt::format("{},{}", at->view->through, match.through);
  }
  match.begin = begin;
  match.end = end;
  if (match.rule != Match::kBudget) match.fingerprint = fingerprint(engine_->key_, secret);
  if (match.excerpt.empty() && match.rule >= 0) match.excerpt = mask(secret);
  matches_.push_back(std::move(match));
}

void Scanner::find_known(const Level& level) {
  if (engine_->known_.empty()) return;
  std::vector<KnownValues::Match> found;
  engine_->known_.find(level.bytes, found);
  for (const auto& known : found) {
    const auto& name = engine_->known_.names()[known.value];
    Match match;
    match.rule = Match::kKnown;
    match.canary = name.canary;
    match.severity = known.whole || name.canary ? Severity::critical : Severity::high;
    match.detail = known.whole ? fmt::format("The value of {}", name.name) : fmt::format("A piece of {}", name.name);
    match.excerpt = fmt::format("…({})", known.end - known.begin);
    match.through = known.through;
    add(level, known.begin, known.end, std::move(match), level.bytes.substr(known.begin, known.end - known.begin));
  }
}

// Recovery phrases: words of BIP-39 in a row, whatever stands between them, whose checksum holds.
void Scanner::find_phrases(const Level& level) {
  if (engine_->phrase_rule_ < 0) return;
  const CompiledRules::Record& rule = engine_->rules().rules()[static_cast<size_t>(engine_->phrase_rule_)];
  if (!rule.looks_at(direction_)) return;
  const std::string_view text = level.bytes;
  struct Word {
    size_t begin, end;
    int index;
  };
  const auto word_from = [&](size_t begin) {  // text[begin] is a letter, the first of its word
    size_t end = begin;
    while (end < text.size() && end - begin <= 9 && is_letter(text[end])) ++end;
    return Word{begin, end, bip39_index(text.substr(begin, end - begin))};
  };
  std::vector<Word> words;
  size_t floor = 0;
  for (size_t probe = kPhraseStep - 1; probe < text.size(); probe += kPhraseStep) {
    size_t at = probe;
    while (at > floor && probe - at < kPhraseGap && !is_letter(text[at])) --at;
    if (!is_letter(text[at])) continue;
    while (at > floor && is_letter(text[at - 1]) && probe - at < 16) --at;
    Word word = word_from(at);
    if (word.index < 0) continue;
    words.assign(1, word);
    while (words.size() < kPhraseWords) {  // backwards
      size_t end = words.front().begin;
      while (end > floor && words.front().begin - end < kPhraseGap && !is_letter(text[end - 1])) --end;
      size_t begin = end;
      while (begin > floor && end - begin <= 9 && is_letter(text[begin - 1])) --begin;
      if (begin == end) break;
      word = word_from(begin);
      if (word.index < 0 || word.end != end || !is_phrase_gap(text.substr(end, words.front().begin - end))) break;
      words.insert(words.begin(), word);
    }
    while (words.size() < kPhraseWords) {
      size_t begin = words.back().end;
      while (begin < text.size() && begin - words.back().end < kPhraseGap && !is_letter(text[begin])) ++begin;
      if (begin >= text.size() || begin == words.back().end || !is_letter(text[begin])) break;
      word = word_from(begin);
      if (word.index < 0 || !is_phrase_gap(text.substr(words.back().end, begin - words.back().end))) break;
      words.push_back(word);
    }
    if (words.size() < 12) continue;
    std::vector<int> indices;
    for (const Word& w : words) indices.push_back(w.index);
    if (std::adjacent_find(indices.begin(), indices.end(), std::greater_equal<>()) == indices.end())
      continue;  // a dictionary
    for (size_t count : {24, 21, 18, 15, 12}) {
      size_t first = 0;
      while (first + count <= words.size() && !is_bip39_phrase(std::span(indices).subspan(first, count))) ++first;
      if (first + count > words.size()) continue;
      const std::set<int> distinct(indices.begin() + static_cast<ptrdiff_t>(first),
                                   indices.begin() + static_cast<ptrdiff_t>(first + count));
      if (distinct.size() < kPhraseDistinct) continue;
      Match match;
      match.rule = engine_->phrase_rule_;
      match.severity = rule.severity;
      match.excerpt = fmt::format("…({} words)", count);
      const size_t begin = words[first].begin, end = words[first + count - 1].end;
      add(level, begin, end, std::move(match), text.substr(begin, end - begin));
      break;
    }
    floor = words.back().end;
    probe = std::max(probe, floor);
  }
}

// What was not looked at may hold anything: a finding, one a scan.
void Scanner::note_unseen(const Level& level, std::string_view why) {
  if (std::exchange(out_of_budget_, true)) return;
  Match match;
  match.rule = Match::kBudget;
  match.severity = Severity::medium;
  match.excerpt = why;
  add(level, 0, level.bytes.size(), std::move(match), {});
}

void Scanner::note_inflated(const Level& level, Inflated result) {
  if (result == Inflated::limited) note_unseen(level, "compressed data over the limit");
}

void Scanner::follow_trigger(const Level& level, const Hit& hit, Views& views) {
  const std::string_view text = level.bytes;
  const InflateLimits limits{.bytes = std::min(work_left_, InflateLimits().bytes)};
  const auto before = [](size_t at, size_t count) { return at > count ? at - count : 0; };
  switch (engine_->rules().triggers()[hit.id - engine_->rules().rules().size()]) {
    case Trigger::rot13:
      if (!level.turned)
        views.push_back(
            decode_rot13(text, before(hit.first, kTurnedBefore), std::min(text.size(), hit.last + kTurnedAfter)));
      break;
    case Trigger::reversed:
      if (!level.turned)
        views.push_back(
            decode_reversed(text, before(hit.first, kTurnedAfter), std::min(text.size(), hit.last + kTurnedBefore)));
      break;
    case Trigger::gzip:
      note_inflated(level, inflate(text, hit.first - 3, Compression::gzip, limits, views));
      break;
    case Trigger::zstd:
      note_inflated(level, inflate(text, hit.first - 4, Compression::zstd, limits, views));
      break;
    case Trigger::pdf_stream:
      note_inflated(level, inflate(text, hit.first - 1, Compression::zlib, limits, views));
      break;
    case Trigger::zip_entry: {
      // Local header: 30 bytes, then name and extra field; only deflate (8) needs us.
      const size_t at = hit.first - 4;
      if (at + 30 > text.size()) break;
      const auto word = [&](size_t offset) {
        return static_cast<size_t>(static_cast<unsigned char>(text[at + offset])) |
               static_cast<size_t>(static_cast<unsigned char>(text[at + offset + 1])) << 8;
      };
      const size_t data = at + 30 + word(26) + word(28);
      if (word(8) == 8 && data < text.size())
        note_inflated(level, inflate(text, data, Compression::deflate, limits, views));
      break;
    }
  }
}

void Scanner::derive(const Level& level, const std::vector<Hit>& hits) {
  Views views;
  decode_escapes(level.bytes, views);
  decode_quoted_printable(level.bytes, views);
  decode_runs(level.bytes, views);
  decode_base85(level.bytes, views);
  decode_unicode(level.bytes, views);
  decode_wide(level.bytes, views);
  size_t triggers = 0;
  for (const Hit& hit : hits)
    if (hit.id >= engine_->rules().rules().size() && ++triggers <= kTriggerLimit) follow_trigger(level, hit, views);
  // zlib has two bytes of magic only: looked for at the start of what was decoded.
  if (level.bytes.size() >= 8 && level.bytes[0] == 0x78 &&
      (0x7800 | static_cast<unsigned char>(level.bytes[1])) % 31 == 0)
    note_inflated(level, inflate(level.bytes, 0, Compression::zlib,
                                 InflateLimits{.bytes = std::min(work_left_, InflateLimits().bytes)}, views));
  for (const View& view : views) {
    // Folding what is folded already changes nothing; and a view that is as it was leads nowhere.
    if (level.view && view.through == level.view->through && (view.through == "unicode" || view.bytes == level.bytes))
      continue;
    if (view.bytes.size() > work_left_ || level.depth + 1 > kDepthLimit) {
      return note_unseen(level, level.depth + 1 > kDepthLimit ? "encoded too deeply" : "too much to decode");
    }
    work_left_ -= view.bytes.size();
    const bool turned = level.turned || view.through == "rot13" || view.through == "reversed";
    scan_level({view.bytes, &view, &level, level.depth + 1, turned});
  }
}

void Scanner::scan_level(const Level& level) {
  if (level.bytes.size() < 8) return;
  if (!prefilter(level.bytes)) note_unseen(level, "too much to search");
  std::vector<Hit> hits(hits_.begin(), hits_.end());
  // Numbers of a table that were put together are no card.
  if (!level.view || level.view->through != "spaced") find_numbers(level.bytes, hits);
  find_long_runs(level.bytes, hits);
  std::sort(hits.begin(), hits.end(),
            [](const Hit& a, const Hit& b) { return std::tie(a.id, a.first) < std::tie(b.id, b.first); });
  size_t done = 0;
  for (size_t i = 0; i < hits.size() && hits[i].id < engine_->rules().rules().size(); ++i) {
    if (i == 0 || hits[i].id != hits[i - 1].id) done = 0;
    confirm(level, hits[i], done);
  }
  find_known(level);
  find_phrases(level);
  derive(level, hits);
}

std::vector<Match> Scanner::scan(Direction direction, std::string_view bytes) {
  direction_ = direction;
  matches_.clear();
  work_left_ = kWorkLeast + kWorkPerByte * bytes.size();
  out_of_budget_ = false;
  scan_level({.bytes = bytes});
  std::vector<Match> all = std::exchange(matches_, {});
  // The one that says most of those that overlap: the most severe, then the plainest, then the longest.
  std::sort(all.begin(), all.end(), [](const Match& a, const Match& b) {
    const auto depth = [](const Match& m) {
      return m.through.empty() ? 0 : 1 + std::count(m.through.begin(), m.through.end(), ',');
    };
    if (a.severity != b.severity) return a.severity > b.severity;
    if (depth(a) != depth(b)) return depth(a) < depth(b);
    return std::tuple(b.end - b.begin, a.begin, a.rule) < std::tuple(a.end - a.begin, b.begin, b.rule);
  });
  std::vector<Match> kept;
  for (Match& match : all) {
    const bool covered = std::any_of(kept.begin(), kept.end(), [&](const Match& k) {
      if (match.rule == Match::kBudget || k.rule == Match::kBudget) return match.rule == k.rule;
      return match.begin < k.end && k.begin < match.end;
    });
    if (!covered) kept.push_back(std::move(match));
  }
  std::sort(kept.begin(), kept.end(),
            [](const Match& a, const Match& b) { return std::tie(a.begin, a.end) < std::tie(b.begin, b.end); });
  return kept;
}

Finding Scanner::to_finding(const Match& match, Direction direction, std::string_view place, uint64_t offset) const {
  Finding finding;
  finding.severity = match.severity;
  finding.direction = direction;
  finding.place = place;
  finding.through = match.through;
  finding.begin = offset + match.begin;
  finding.end = offset + match.end;
  finding.excerpt = match.excerpt;
  finding.fingerprint = match.fingerprint;
  if (match.rule >= 0) {
    const CompiledRules& rules = engine_->rules();
    const CompiledRules::Record& rule = rules.rules()[static_cast<size_t>(match.rule)];
    finding.rule = rules.text(rule.id);
    finding.title = rules.text(rule.title);
  } else if (match.rule == Match::kKnown) {
    finding.rule = match.canary ? kCanaryRule : kKnownRule;
    finding.title = match.detail;
  } else {
    finding.rule = kBudgetRule;
    finding.title = "More is encoded here than was looked at";
  }
  return finding;
}

std::vector<Finding> Scanner::scan_value(Direction direction, std::string_view place, std::string_view bytes) {
  std::vector<Finding> findings;
  const std::string context = context_of(place);
  const auto collect = [&](std::string_view text, size_t skip) {
    for (Match& match : scan(direction, text)) {
      if (match.end <= skip && match.rule != Match::kBudget) continue;
      match.begin = std::max(match.begin, skip) - skip;
      match.end = std::min(match.end - skip, bytes.size());
      findings.push_back(to_finding(match, direction, place, 0));
    }
  };
  if (context.empty())
    collect(bytes, 0);
  else
    collect(context + std::string(bytes), context.size());
  if (place.starts_with("host") && findings.empty()) {
    // Labels carry pieces of one value.
    std::string joined;
    for (const char c : bytes)
      if (c != '.') joined += c;
    for (const Match& match : scan(direction, joined)) {
      findings.push_back(to_finding(match, direction, place, 0));
      findings.back().begin = 0;  // the dots are not where they were
      findings.back().end = bytes.size();
    }
  }
  return findings;
}

}  // namespace stockade::inspect
