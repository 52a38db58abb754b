// Model APIs on the wire (src/model). In a request the results of tools are what comes back to the model: they are judged
// for orders, each once in a run, for a conversation is sent again and again. In a response the model's calls of tools
// are what goes out: their arguments are judged for secrets when the call is complete, and a call that holds one is
// taken out of the answer, which stays well-formed; texts pass event by event, at once. What can be read in two ways is
// refused. One thread, one body.
#pragma once

#include <unordered_set>

#include "egress/message_judge.h"
#include "model/reader.h"
#include "model/recognise.h"

namespace stockade::egress {

inline constexpr size_t kModelBodyLimit = 8 * 1024 * 1024;  // that is held to be read; larger ones pass, and that is logged

// Texts that were judged and found harmless, by a keyed hash: a bounded memory of the run.
class JudgedTexts {
 public:
  JudgedTexts();
  bool contains(std::string_view text) const { return known_.contains(hash(text)); }
  void add(std::string_view text);

 private:
  uint64_t hash(std::string_view text) const;
  std::array<unsigned char, 16> key_{};
  std::unordered_set<uint64_t> known_;
};

struct ModelMeans {
  MessageJudge::Means means;
  JudgedTexts* judged = nullptr;
};

// What an exchange learns of its request; `api` none until its body was read.
using ModelCall = model::Recognised;

// `shape`'s body is what will be fed. `call` is set when the body is whole.
std::unique_ptr<BodyFilter> model_request_filter(const net::RequestHead& head, std::shared_ptr<ModelCall> call,
                                                 ModelMeans means);
// `text_type`: the response's Content-Type.
std::unique_ptr<BodyFilter> model_response_filter(const ModelCall& call, std::string_view content_type,
                                                  MessageJudge::Means means);

// A refusal in the API's own words.
net::RefusalResponse model_refusal(const ModelCall& call, const net::Refusal& refusal);

}  // namespace stockade::egress
