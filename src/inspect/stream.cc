#include "inspect/stream.h"

#include <algorithm>

namespace stockade::inspect {

namespace {

bool ends_word(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '"' || c == '\'' || c == '<'; }

// What values are made of, in a protocol whose framing is not known: any byte that is not of one ends it.
bool is_of_word(char c) {
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  return letter || std::string_view("_-.+/=:~%\\").find(c) != std::string_view::npos;
}
constexpr size_t kPrefixLeast = 3;

}  // namespace

StreamScanner::Fed StreamScanner::feed(std::string_view bytes, bool end) {
  Fed fed;
  while (!bytes.empty()) {
    const size_t room =
        kStreamStep + scanner_->engine().longest_span() + kStreamContext - std::min(buffer_.size(), kStreamStep);
    const auto piece = bytes.substr(0, std::min(room, kStreamStep));
    buffer_.append(piece);
    unscanned_ += piece.size();
    bytes.remove_prefix(piece.size());
    const bool at_event =
        options_.release_at_empty_lines && (buffer_.ends_with("\n\n") || buffer_.ends_with("\r\n\r\n"));
    if (bytes.empty() && !end && !at_event && unscanned_ < kStreamLeast) return fed;
    if (!bytes.empty() || !end) step(Step::more, fed);
  }
  if (end) step(Step::end, fed);
  return fed;
}

StreamScanner::Fed StreamScanner::pause() {
  Fed fed;
  if (held() > 0) step(Step::pause, fed);
  return fed;
}

void StreamScanner::step(Step kind, Fed& fed) {
  unscanned_ = 0;
  const std::vector<Match> matches = scanner_->scan(options_.direction, buffer_);
  size_t from = buffer_.size();
  if (kind == Step::more) from = hold_from(matches);
  if (kind == Step::pause) from = hold_beginning();
  from = std::max(from, context_);
  for (const Match& match : matches) {
    // At a pause what is whole is told, also where it might still grow.
    const bool leaves =
        match.begin < from || kind == Step::pause || (kind == Step::end && match.rule == Match::kBudget);
    if (leaves && match.end > context_ && is_new(match))
      fed.findings.push_back(scanner_->to_finding(match, options_.direction, options_.place, base_));
  }
  fed.release += from - context_;
  const size_t drop = from > kStreamContext ? from - kStreamContext : 0;
  buffer_.erase(0, drop);
  base_ += drop;
  context_ = from - drop;
  std::erase_if(told_, [&](const Told& told) { return told.end <= base_; });
}

// Where the bytes begin that must wait.
size_t StreamScanner::hold_from(const std::vector<Match>& matches) const {
  const size_t size = buffer_.size();
  const size_t longest = std::max(scanner_->engine().longest_span(), kStreamHold);
  const size_t floor = size > longest ? size - longest : 0;
  size_t from = size > kStreamHold ? size - kStreamHold : 0;
  if (options_.release_at_empty_lines) {
    const auto line = buffer_.rfind("\n\n"), carriage = buffer_.rfind("\r\n\r\n");
    if (line != std::string::npos) from = std::max(from, line + 2);
    if (carriage != std::string::npos) from = std::max(from, carriage + 4);
  }
  size_t word = size;
  while (word > floor && !ends_word(buffer_[word - 1])) --word;
  from = std::min(from, word);
  if (const auto block = open_key_block()) from = std::min(from, std::max(*block, floor));
  // A match leaves as a whole, or not yet. From behind, because holding one may cut the one before.
  for (auto match = matches.rbegin(); match != matches.rend(); ++match)
    if (match->rule != Match::kBudget && match->begin < from && match->end > from) from = std::max(match->begin, floor);
  for (auto match = matches.rbegin(); match != matches.rend(); ++match)
    if (match->rule != Match::kBudget && match->begin < from && match->end > from) from = std::max(match->begin, floor);
#ifdef STOCKADE_PLANTED_BUG
  // Lets everything go as soon as there is no match that is growing.
  if (matches.empty()) from = size;
#endif
  return from;
}

// The block of a private key, until its end has come.
std::optional<size_t> StreamScanner::open_key_block() const {
  const auto block = buffer_.rfind("-----BEGIN");
  if (block == std::string::npos || buffer_.find("-----END", block) != std::string::npos) return std::nullopt;
  return block;
}

size_t StreamScanner::hold_beginning() const {
  const size_t size = buffer_.size();
  const size_t floor = size > scanner_->engine().longest_span() ? size - scanner_->engine().longest_span() : 0;
  size_t word = size;
  while (word > floor && is_of_word(buffer_[word - 1])) --word;
  size_t from = size;
  const std::string_view last = std::string_view(buffer_).substr(word);
  const CompiledRules& rules = scanner_->engine().rules();
  for (const auto& rule : rules.rules()) {
    std::string_view keywords = rules.text(rule.keywords);
    while (!keywords.empty()) {
      const std::string_view prefix = keywords.substr(0, keywords.find('\n'));
      keywords.remove_prefix(prefix.size() + 1);
      if (prefix.size() >= kPrefixLeast) from = std::min(from, word + std::min(last.find(prefix), last.size()));
    }
  }
  if (const auto block = open_key_block()) from = std::min(from, std::max(*block, floor));
  return from;
}

bool StreamScanner::is_new(const Match& match) {
  if (match.rule == Match::kBudget) return !std::exchange(told_budget_, true);
  const uint64_t begin = base_ + match.begin, end = base_ + match.end;
  for (const Told& told : told_)
    if (told.begin < end && begin < told.end && (told.fingerprint == match.fingerprint || end <= told.end))
      return false;
  told_.push_back({match.fingerprint, begin, end});
  return true;
}

}  // namespace stockade::inspect
