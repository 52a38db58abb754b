#include "inspect/injection_terms.h"

#include <hs/hs.h>

#include <algorithm>
#include <map>
#include <optional>

namespace stockade::inspect {

namespace {

constexpr size_t kStarLimit = 24;  // bytes that a star stands for
constexpr size_t kGapLimit = 24;   // bytes of white space and markup between two words

struct Term {
  uint8_t concept_index = 0;
  uint8_t scale = 4;
  bool foreign = false;
  bool whole_left = false;  // must begin where a word begins
  bool whole_right = false;
  bool ascii_word = false;  // must not touch ASCII letters: "ai" in Japanese
  std::string before;       // of the piece, in reading order
  std::string after;
};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

bool is_word_byte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  const char l = lower(c);
  return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || byte >= 0x80;
}

// What may stand between two words of a term: white space, line prefixes, emphasis.
bool is_gap_byte(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '*' || c == '_' || c == '>' || c == '#';
}

// Matches `pattern` at `at`, forwards (step 1) or backwards (-1); the place where it ends, or nothing.
std::optional<ptrdiff_t> match(std::string_view pattern, std::string_view text, ptrdiff_t at, int step) {
  const auto inside = [&](ptrdiff_t i) { return i >= 0 && i < static_cast<ptrdiff_t>(text.size()); };
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char wanted = step > 0 ? pattern[i] : pattern[pattern.size() - 1 - i];
    if (wanted == ' ') {
      size_t gap = 0;
      // What the term itself asks for next is not a part of the gap: "### system".
      const size_t following = i + 1;
      const char next = following == pattern.size() ? '\0'
                        : step > 0                  ? pattern[following]
                                                    : pattern[pattern.size() - 1 - following];
      while (gap < kGapLimit && inside(at) && text[static_cast<size_t>(at)] != next &&
             is_gap_byte(text[static_cast<size_t>(at)]))
        at += step, ++gap;
      if (gap == 0) return std::nullopt;
    } else if (wanted == '*') {
      for (size_t gap = 0; gap < kStarLimit && inside(at) && is_word_byte(text[static_cast<size_t>(at)]); ++gap)
        at += step;
    } else {
      if (!inside(at) || lower(text[static_cast<size_t>(at)]) != wanted) return std::nullopt;
      at += step;
    }
  }
  return at;
}

// The longest stretch without a space or star.
std::string_view longest_piece(std::string_view text) {
  std::string_view best;
  for (size_t i = 0; i < text.size();) {
    const size_t end = std::min(text.find_first_of(" *", i), text.size());
    if (end - i > best.size()) best = text.substr(i, end - i);
    i = end + 1;
  }
  return best;
}

bool is_open_script(std::string_view language) {
  return language == "any" || language == "zh" || language == "ja" || language == "ko" || language == "ar" ||
         language == "hi";
}

// In quarters: how many bytes of the script say what one letter says in Latin.
uint8_t scale_of(std::string_view language) {
  if (language == "ru" || language == "ar") return 8;
  if (language == "hi") return 11;
  if (language == "zh") return 4;
  if (language == "ja" || language == "ko") return 6;
  return 4;
}

// Whether a term's ASCII letter goes on in an ASCII letter beside it. `left` is the byte before, `right` the one after.
bool touches_ascii(std::string_view text, ptrdiff_t left, ptrdiff_t right) {
  const auto ascii_at = [&](ptrdiff_t i) {
    return i >= 0 && i < static_cast<ptrdiff_t>(text.size()) &&
           static_cast<unsigned char>(text[static_cast<size_t>(i)]) < 0x80 &&
           is_word_byte(text[static_cast<size_t>(i)]);
  };
  return (ascii_at(left) && ascii_at(left + 1)) || (ascii_at(right) && ascii_at(right - 1));
}

}  // namespace

struct TermFinder::Shared {
  std::optional<PatternDatabase> database;
  std::vector<Term> terms;
  std::vector<std::vector<uint32_t>> by_piece;
  std::vector<uint32_t> piece_sizes;
  size_t user = kConceptLimit;
};

struct TermFinder::Scratch {
  hs_scratch_t* scratch = nullptr;

  Scratch() = default;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { hs_free_scratch(scratch); }
};

Result<TermFinder> TermFinder::create(const InjectionRules& rules, const Folder& folder, Image compiled) {
  auto shared = std::make_shared<Shared>();
  shared->user = rules.concept_named("user");
  std::map<std::string, std::vector<uint32_t>> pieces;
  for (const InjectionTerm& written : rules.terms) {
    std::string text = folder.fold(written.text).text;
    Term term{.concept_index = written.concept_index, .scale = scale_of(written.language)};
    term.foreign = written.language != "en";
    const bool open = is_open_script(written.language);
    term.whole_left = !open && !text.starts_with('*');
    term.whole_right = !open && !text.ends_with('*');
    while (text.starts_with('*')) text.erase(0, 1);
    while (text.ends_with('*')) text.pop_back();
    term.ascii_word = open && written.language != "any";
    const std::string_view piece = longest_piece(text);
    if (piece.empty() || (piece.size() < 2 && is_word_byte(piece[0])))
      return fail(ErrorKind::invalid_input, "injection rules: the term \"{}\" is too short", written.text);
    const auto at = static_cast<size_t>(piece.data() - text.data());
    term.before = text.substr(0, at);
    term.after = text.substr(at + piece.size());
    pieces[std::string(piece)].push_back(static_cast<uint32_t>(shared->terms.size()));
    shared->terms.push_back(std::move(term));
  }
  PatternSources sources{.kind = PatternSources::Kind::literals};
  for (const auto& [piece, terms] : pieces) {
    sources.add(piece, shared->by_piece.size(), HS_FLAG_CASELESS);
    shared->by_piece.push_back(terms);
    shared->piece_sizes.push_back(static_cast<uint32_t>(piece.size()));
  }
  auto database = PatternDatabase::open(compiled, sources);
  if (!database)
    return fail(ErrorKind::internal, "compile the terms of the injection rules: {}", database.error().reason);
  shared->database = std::move(*database);
  TermFinder out;
  out.shared_ = std::move(shared);
  return out.clone();
}

Result<TermFinder> TermFinder::clone() const {
  TermFinder out;
  out.shared_ = shared_;
  out.scratch_ = std::make_shared<Scratch>();
  if (hs_alloc_scratch(shared_->database->get(), &out.scratch_->scratch) != HS_SUCCESS)
    return fail(ErrorKind::unavailable, "allocate memory to scan with");
  return out;
}

Image TermFinder::image() const { return shared_->database->image(); }

void TermFinder::find(std::string_view text, std::vector<TermHit>& hits) const {
  hits.clear();
  struct Context {
    const Shared& shared;
    std::string_view text;
    std::vector<TermHit>& hits;
  } context{*shared_, text, hits};
  const auto on_piece = [](unsigned id, unsigned long long, unsigned long long to, unsigned, void* opaque) -> int {
    auto& c = *static_cast<Context*>(opaque);
    const auto end = static_cast<ptrdiff_t>(to);
    const ptrdiff_t begin = end - static_cast<ptrdiff_t>(c.shared.piece_sizes[id]);
    for (const uint32_t index : c.shared.by_piece[id]) {
      const Term& term = c.shared.terms[index];
      const auto left = term.before.empty() ? begin - 1 : match(term.before, c.text, begin - 1, -1);
      if (!left) continue;
      const auto right = term.after.empty() ? end : match(term.after, c.text, end, 1);
      if (!right) continue;
      if (term.whole_left && *left >= 0 && is_word_byte(c.text[static_cast<size_t>(*left)])) continue;
      if (term.whole_right && *right < static_cast<ptrdiff_t>(c.text.size()) &&
          is_word_byte(c.text[static_cast<size_t>(*right)]))
        continue;
      if (term.ascii_word && touches_ascii(c.text, *left, *right)) continue;
      c.hits.push_back({static_cast<uint32_t>(*left + 1), static_cast<uint32_t>(*right), term.concept_index,
                        term.foreign, term.scale});
    }
    return c.hits.size() >= kHitLimit ? 1 : 0;
  };
  hs_scan(shared_->database->get(), text.data(), static_cast<unsigned>(text.size()), 0, scratch_->scratch, on_piece,
          &context);
  std::sort(hits.begin(), hits.end(), [](const TermHit& a, const TermHit& b) {
    if (a.begin != b.begin) return a.begin < b.begin;
    return a.end != b.end ? a.end > b.end : a.concept_index < b.concept_index;
  });
  // "prompt" in "system prompt" is not a second thing said.
  size_t kept = 0;
  uint32_t covered = 0;
  uint32_t cover_begin = 0;
  for (const TermHit& hit : hits) {
    const bool inside = kept > 0 && hit.end <= covered && !(hit.begin == cover_begin && hit.end == covered);
    const bool repeated = kept > 0 && hits[kept - 1].begin == hit.begin && hits[kept - 1].end == hit.end &&
                          hits[kept - 1].concept_index == hit.concept_index;
    // But whom an order speaks of counts beside it: "do not tell the user".
    if ((inside && hit.concept_index != shared_->user) || repeated) continue;
    if (hit.end > covered) {
      covered = hit.end;
      cover_begin = hit.begin;
    }
    hits[kept++] = hit;
  }
  hits.resize(kept);
}

}  // namespace stockade::inspect
