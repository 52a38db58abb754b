#include <fmt/format.h>
#include <sodium.h>

#include "egress/model_filter.h"
#include "model/refusal.h"
#include "net/path.h"

namespace stockade::egress {

namespace {

constexpr size_t kJudgedLimit = 64 * 1024;

class ModelRequestFilter final : public BodyFilter {
 public:
  ModelRequestFilter(const net::RequestHead& head, std::shared_ptr<ModelCall> call, ModelMeans means)
      : method_(head.method), path_(head.path), call_(std::move(call)), means_(means) {
    if (auto normal = net::normalise_path(path_)) path_ = std::move(*normal);
  }

  Result<Passed> feed(std::string_view bytes, bool end) override {
    Passed passed;
    if (too_large_) {
      passed.bytes = bytes;
      return passed;
    }
    body_ += bytes;
    if (body_.size() > kModelBodyLimit) {
      too_large_ = true;
      passed.findings.push_back({fmt::format("a body over {} MiB is not read as a model's", kModelBodyLimit >> 20),
                                 "secrets in it are found all the same", {}, false});
    } else if (end) {
      STOCKADE_TRY(read(passed));
    } else {
      return passed;
    }
    passed.bytes = std::exchange(body_, {});
    return passed;
  }

  size_t held() const override { return body_.capacity(); }

 private:
  Result<void> read(Passed& passed) {
    *call_ = model::recognise({method_, path_, {}, body_});
    if (call_->api == model::Api::none || !means_.means.injection) return {};
    STOCKADE_ASSIGN(const auto happenings, model::read_request(call_->api, body_));
    for (const model::Happening& one : happenings) {
      if (one.kind != model::HappeningKind::tool_result) continue;
      STOCKADE_ASSIGN(const std::string text, one.text.decode());
      judge(one, text, passed);
    }
    return {};
  }

  void judge(const model::Happening& result, const std::string& text, Passed& passed) {
    if (text.empty() || means_.judged->contains(text)) return;
    MessageJudge::Means inbound = means_.means;
    inbound.secrets = nullptr;
    auto findings = MessageJudge(inbound).judge(text, true);
    if (findings.empty()) means_.judged->add(text);
    for (ContentFinding& finding : findings) {
      finding.reason = fmt::format("a tool's result gives orders to the model{}",
                                   result.name.empty() ? "" : fmt::format(" (tool {})", result.name));
      finding.evidence.emplace_back("place", result.pointer);
      passed.findings.push_back(std::move(finding));
    }
  }

  std::string method_, path_;
  std::shared_ptr<ModelCall> call_;
  ModelMeans means_;
  std::string body_;
  bool too_large_ = false;
};

}  // namespace

JudgedTexts::JudgedTexts() { ::randombytes_buf(key_.data(), key_.size()); }

uint64_t JudgedTexts::hash(std::string_view text) const {
  static_assert(crypto_shorthash_KEYBYTES == 16 && crypto_shorthash_BYTES == sizeof(uint64_t));
  uint64_t out = 0;
  ::crypto_shorthash(reinterpret_cast<unsigned char*>(&out), reinterpret_cast<const unsigned char*>(text.data()),
                     text.size(), key_.data());
  return out;
}

void JudgedTexts::add(std::string_view text) {
  if (known_.size() >= kJudgedLimit) known_.clear();
  known_.insert(hash(text));
}

std::unique_ptr<BodyFilter> model_request_filter(const net::RequestHead& head, std::shared_ptr<ModelCall> call,
                                                 ModelMeans means) {
  return std::make_unique<ModelRequestFilter>(head, std::move(call), means);
}

net::RefusalResponse model_refusal(const ModelCall& call, const net::Refusal& refusal) {
  net::RefusalResponse response = net::refusal_response(refusal);
  model::RefusalResponse own =
      model::write_refusal(call.api, {refusal.message, refusal.reason, refusal.rule, refusal.event, refusal.hint});
  response.body = std::move(own.body);
  response.head.status = own.status;
  response.head.body.length = response.body.size();
  for (net::HttpField& field : response.head.fields) {
    if (field.name == "content-type") field.value = own.content_type;
    if (field.name == "content-length") field.value = fmt::format("{}", response.body.size());
  }
  for (auto& [name, value] : own.fields) response.head.fields.push_back({name, value});
  return response;
}

}  // namespace stockade::egress
