#include "egress/body_filter.h"

#include <algorithm>
#include <iterator>

namespace stockade::egress {

namespace {

bool stops(const Passed& passed) {
  return std::ranges::any_of(passed.findings,
                             [](const ContentFinding& finding) { return finding.stops && !finding.asks; });
}

class Chain final : public BodyFilter {
 public:
  Chain(std::unique_ptr<BodyFilter> first, std::unique_ptr<BodyFilter> second)
      : first_(std::move(first)), second_(std::move(second)) {}

  Result<Passed> feed(std::string_view bytes, bool end) override {
    STOCKADE_ASSIGN(Passed first, first_->feed(bytes, end));
    return follow(std::move(first), end);
  }

  Result<Passed> pause() override {
    STOCKADE_ASSIGN(Passed first, first_->pause());
    STOCKADE_ASSIGN(Passed fed, follow(std::move(first), false));
    STOCKADE_ASSIGN(Passed paused, second_->pause());
    fed.bytes += paused.bytes;
    std::ranges::move(paused.findings, std::back_inserter(fed.findings));
    return fed;
  }

  size_t held() const override { return first_->held() + second_->held(); }
  bool edits() const override { return first_->edits() || second_->edits(); }
  std::optional<BodyPiece> last_words(const net::Refusal& refusal) override {
    auto words = second_->last_words(refusal);
    return words ? std::move(words) : first_->last_words(refusal);
  }

 private:
  Result<Passed> follow(Passed first, bool end) {
    if (stops(first)) return first;
    STOCKADE_ASSIGN(Passed second, second_->feed(first.bytes, end));
    second.findings.insert(second.findings.begin(), std::make_move_iterator(first.findings.begin()),
                           std::make_move_iterator(first.findings.end()));
    return second;
  }

  std::unique_ptr<BodyFilter> first_, second_;
};

}  // namespace

std::unique_ptr<BodyFilter> chain(std::unique_ptr<BodyFilter> first, std::unique_ptr<BodyFilter> second) {
  if (!first) return second;
  if (!second) return first;
  return std::make_unique<Chain>(std::move(first), std::move(second));
}

}  // namespace stockade::egress
