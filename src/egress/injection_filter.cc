#include "egress/injection_filter.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/printable.h"

namespace stockade::egress {

namespace {

using inspect::kInjectionOverlap;
using inspect::kInjectionWindow;

constexpr size_t kSniffed = 512;
constexpr size_t kExcerpt = 120;

// NUL, or a sequence that is not UTF-8 before the last character, which may be cut off.
bool is_binary(std::string_view bytes) {
  if (bytes.find('\0') != std::string_view::npos) {
    // UTF-16 is text: a byte order mark says so.
    return !bytes.starts_with("\xff\xfe") && !bytes.starts_with("\xfe\xff");
  }
  size_t broken = 0;
  std::string_view rest = bytes;
  while (!rest.empty()) {
    const CodePoint point = decode_utf8(rest);
    if (point.length == 0 && rest.size() > 4) ++broken;
    rest.remove_prefix(std::max<size_t>(point.length, 1));
  }
  return broken * 10 > bytes.size();  // Latin-1 and its like are text as well
}

class InjectionFilter final : public BodyFilter {
 public:
  InjectionFilter(const inspect::InjectionDetector& detector, InjectionOptions options)
      : detector_(detector), options_(options), sniffed_(!options.may_be_binary) {}

  Result<Passed> feed(std::string_view bytes, bool end) override {
    Passed passed;
    while (!binary_ && !bytes.empty()) {
      const auto piece = bytes.substr(0, kInjectionWindow - std::min(text_.size(), kInjectionWindow - 1));
      text_ += piece;
      bytes.remove_prefix(piece.size());
      sniff(end && bytes.empty());
      if (!binary_ && text_.size() >= kInjectionWindow) judge(kInjectionOverlap, passed);
    }
    if (binary_) {
      passed.bytes += text_.substr(released_);
      passed.bytes += bytes;
      text_.clear();
      released_ = 0;
      return passed;
    }
    if (end || (options_.events && at_event_end())) judge(0, passed);
    return passed;
  }

  Result<Passed> pause() override {
    Passed passed;
    if (!binary_ && text_.size() > released_) judge(0, passed);
    return passed;
  }

  size_t held() const override { return text_.capacity(); }

 private:
  void sniff(bool end) {
    if (sniffed_ || (text_.size() < kSniffed && !end)) return;
    sniffed_ = true;
    binary_ = is_binary(std::string_view(text_).substr(0, kSniffed));
  }

  bool at_event_end() const { return text_.ends_with("\n\n") || text_.ends_with("\r\n\r\n"); }

  // Judges all that is there, and lets go of it but for the last `keep` bytes.
  void judge(size_t keep, Passed& passed) {
    if (!options_.format) options_.format = inspect::guess_format(text_);
    const auto score = detector_.score_window(text_, *options_.format, offset_);
    if (score.score >= inspect::kInjectionSuspicious) note(score, passed);
    const size_t until = std::max(text_.size() - std::min(keep, text_.size()), released_);
    passed.bytes += text_.substr(released_, until - released_);
    const size_t drop = until > kInjectionOverlap ? until - kInjectionOverlap : 0;
    text_.erase(0, drop);
    offset_ += drop;
    released_ = until - drop;
  }

  // The same order is told once, however often its window is judged.
  void note(const inspect::InjectionScore& score, Passed& passed) {
    const inspect::InjectionReason none;
    const inspect::InjectionReason& first = score.reasons.empty() ? none : score.reasons.front();
    // Garbage is full of look-alike letters.
    const bool certain = score.score >= inspect::kInjectionCertain && !is_binary(text_);
    if (!told_.emplace(first.rule, first.excerpt, certain).second) return;
    ContentFinding finding;
    finding.reason = fmt::format("the response gives orders to the model ({}{}{})",
                                 first.attack_class.empty() ? "instructions" : first.attack_class,
                                 first.through.empty() ? "" : ", in ", first.through);
    finding.hint = "a person can let such text pass with network.inspect: { injection: log }";
    finding.evidence = {{"score", fmt::format("{:.2f}", score.score)},
                        {"pattern", first.rule},
                        {"excerpt", escape_for_terminal(std::string_view(first.excerpt).substr(0, kExcerpt))}};
    finding.stops = options_.stops && certain;
    passed.findings.push_back(std::move(finding));
  }

  const inspect::InjectionDetector& detector_;
  InjectionOptions options_;
  std::string text_;     // context that has left, then what is held
  size_t released_ = 0;  // bytes of text_ that have left
  size_t offset_ = 0;    // of text_ in the body
  bool sniffed_, binary_ = false;
  std::set<std::tuple<std::string, std::string, bool>> told_;
};

}  // namespace

std::unique_ptr<BodyFilter> injection_filter(const inspect::InjectionDetector& detector, InjectionOptions options) {
  return std::make_unique<InjectionFilter>(detector, options);
}

}  // namespace stockade::egress
