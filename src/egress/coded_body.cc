#include "egress/coded_body.h"

#include <deque>

namespace stockade::egress {

namespace {

// How much text one step decodes, so that a small piece that decodes to much is judged as it grows.
constexpr size_t kStep = 4 * 1024;

class CodedBody final : public BodyFilter {
 public:
  CodedBody(net::ContentDecoder decoder, std::unique_ptr<BodyFilter> inner)
      : decoder_(std::move(decoder)), inner_(std::move(inner)) {}

  Result<Passed> feed(std::string_view bytes, bool end) override {
    Passed all;
    do {
      const auto piece = bytes.substr(0, kStep);
      bytes.remove_prefix(piece.size());
      std::string text;
      STOCKADE_TRY(decoder_.decode(piece, text));
      if (!piece.empty()) {
        decoded_ += text.size();
        waiting_.push_back({std::string(piece), decoded_});
        held_ += piece.size();
      }
      const bool last = end && bytes.empty();
      if (last) STOCKADE_TRY(decoder_.finish());
      STOCKADE_ASSIGN(Passed passed, inner_->feed(text, last));
      take(std::move(passed), last, all);
    } while (!bytes.empty());
    return all;
  }

  Result<Passed> pause() override {
    Passed all;
    STOCKADE_ASSIGN(Passed passed, inner_->pause());
    take(std::move(passed), false, all);
    return all;
  }

  size_t held() const override { return held_ + inner_->held(); }

 private:
  struct Piece {
    std::string coded;
    uint64_t text_end;  // of what it and all before it decode to
  };

  void take(Passed passed, bool end, Passed& all) {
    released_ += passed.bytes.size();
    for (ContentFinding& finding : passed.findings) all.findings.push_back(std::move(finding));
    while (!waiting_.empty() && (end || waiting_.front().text_end <= released_)) {
      all.bytes += waiting_.front().coded;
      held_ -= waiting_.front().coded.size();
      waiting_.pop_front();
    }
  }

  net::ContentDecoder decoder_;
  std::unique_ptr<BodyFilter> inner_;
  std::deque<Piece> waiting_;
  uint64_t decoded_ = 0, released_ = 0;
  size_t held_ = 0;
};

class DecodedBody final : public BodyFilter {
 public:
  explicit DecodedBody(net::ContentDecoder decoder) : decoder_(std::move(decoder)) {}

  Result<Passed> feed(std::string_view bytes, bool end) override {
    Passed passed;
    STOCKADE_TRY(decoder_.decode(bytes, passed.bytes));
    if (end) STOCKADE_TRY(decoder_.finish());
    return passed;
  }
  size_t held() const override { return 0; }
  bool edits() const override { return true; }

 private:
  net::ContentDecoder decoder_;
};

}  // namespace

std::unique_ptr<BodyFilter> under_coding(net::ContentDecoder decoder, std::unique_ptr<BodyFilter> inner) {
  return std::make_unique<CodedBody>(std::move(decoder), std::move(inner));
}

std::unique_ptr<BodyFilter> without_coding(net::ContentDecoder decoder) {
  return std::make_unique<DecodedBody>(std::move(decoder));
}

}  // namespace stockade::egress
