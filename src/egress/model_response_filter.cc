#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "egress/model_filter.h"
#include "model/edit.h"
#include "model/refusal.h"
#include "model/stream_edit.h"

namespace stockade::egress {

namespace {

using model::Happening;
using model::HappeningKind;
using model::Phase;

constexpr std::string_view kNotice = "[Stockade took out a call of a tool: its arguments held a secret.]";

// What a call's arguments hold. Those that stop take the call out; the message goes on.
bool judge_call(const Happening& call, MessageJudge::Means means, std::vector<ContentFinding>& out) {
  means.injection = nullptr;
  bool refused = false;
  for (ContentFinding& finding : MessageJudge(means).judge(call.arguments, true)) {
    finding.reason = fmt::format("{} (the model's call of {})", finding.reason, call.name);
    finding.handled = finding.stops;
    refused = refused || finding.stops;
    // Nobody is asked: what the model said is not what leaves, but what comes.
    finding.stops = finding.asks = false;
    out.push_back(std::move(finding));
  }
  return refused;
}

class ModelBodyFilter final : public BodyFilter {
 public:
  ModelBodyFilter(const ModelCall& call, MessageJudge::Means means) : api_(call.api), means_(means) {}

  Result<Passed> feed(std::string_view bytes, bool end) override {
    body_ += bytes;
    if (body_.size() > kModelBodyLimit) return fail(ErrorKind::limit, "a model's answer that is too long to be read");
    Passed passed;
    if (!end) return passed;
    model::ResponseReader reader(api_);
    STOCKADE_ASSIGN(auto happenings, reader.read_body(body_));
    std::erase_if(happenings, [&](const Happening& one) {
      return one.kind != HappeningKind::tool_call || !judge_call(one, means_, passed.findings);
    });
    if (happenings.empty()) {
      passed.bytes = std::move(body_);
    } else {
      STOCKADE_ASSIGN(passed.bytes, model::refuse_calls(api_, body_, happenings, kNotice));
    }
    return passed;
  }

  size_t held() const override { return body_.capacity(); }
  bool edits() const override { return true; }

 private:
  model::Api api_;
  MessageJudge::Means means_;
  std::string body_;
};

class ModelStreamFilter final : public BodyFilter {
 public:
  ModelStreamFilter(const ModelCall& call, model::Framing framing, MessageJudge::Means means)
      : api_(call.api),
        framing_(framing),
        means_(means),
        splitter_(framing),
        reader_(api_),
        editor_(api_, framing, reader_, std::string(kNotice)) {}

  Result<Passed> feed(std::string_view bytes, bool end) override {
    Passed passed;
    std::vector<model::StreamEvent> events;
    STOCKADE_TRY(splitter_.feed(bytes, events));
    if (end) STOCKADE_TRY(splitter_.finish(events));
    for (model::StreamEvent& event : events) STOCKADE_TRY(take(std::move(event), passed));
    if (end && !held_.empty()) {
      // A call that never came to its end is none.
      held_.clear();
      passed.findings.push_back({"the model's answer breaks off in the midst of a call", {}, {}, false});
    }
    return passed;
  }

  size_t held() const override { return held_bytes_; }
  bool edits() const override { return true; }

  std::optional<BodyPiece> last_words(const net::Refusal& refusal) override {
    BodyPiece piece;
    piece.end = true;
    const model::Refusal words{refusal.message, refusal.reason, refusal.rule, refusal.event, refusal.hint};
    for (const std::string& event : model::write_stream_refusal(api_, framing_, reader_, words)) piece.bytes += event;
    return piece;
  }

 private:
  struct Held {
    model::StreamEvent event;
    std::vector<Happening> happenings;
  };

  Result<void> take(model::StreamEvent event, Passed& passed) {
    Held& held = held_.emplace_back();
    held.event = std::move(event);
    held_bytes_ += held.event.raw.size();
    STOCKADE_TRY(reader_.read_event(held.event, held.happenings));
    for (const Happening& one : held.happenings)
      if (one.kind == HappeningKind::tool_call) follow(one, passed);
    if (open_.empty()) return release(passed);
    return {};
  }

  void follow(const Happening& call, Passed& passed) {
    if (call.phase == Phase::begin) open_.insert(call.item);
    if (call.phase != Phase::end && call.phase != Phase::whole) return;
    open_.erase(call.item);
    if (judge_call(call, means_, passed.findings)) refused_.insert(call.item);
  }

  Result<void> release(Passed& passed) {
    if (!refused_.empty())
      for (const Held& held : held_)
        for (const Happening& one : held.happenings)
          if (one.kind == HappeningKind::tool_call && refused_.contains(one.item)) editor_.refuse(one);
    for (const Held& held : held_) {
      if (!editor_.has_refused()) {
        passed.bytes += held.event.raw;
        continue;
      }
      STOCKADE_ASSIGN(const auto pieces, editor_.write(held.event));
      for (const std::string& piece : pieces) passed.bytes += piece;
    }
    held_.clear();
    held_bytes_ = 0;
    return {};
  }

  model::Api api_;
  model::Framing framing_;
  MessageJudge::Means means_;
  model::EventSplitter splitter_;
  model::ResponseReader reader_;
  model::StreamEditor editor_;
  std::deque<Held> held_;  // from the begin of a call to its end
  size_t held_bytes_ = 0;
  std::set<model::Item> open_, refused_;
};

}  // namespace

std::unique_ptr<BodyFilter> model_response_filter(const ModelCall& call, std::string_view content_type,
                                                  MessageJudge::Means means) {
  const model::Framing framing = model::response_framing(call, content_type);
  if (framing == model::Framing::body) return std::make_unique<ModelBodyFilter>(call, means);
  return std::make_unique<ModelStreamFilter>(call, framing, means);
}

}  // namespace stockade::egress
