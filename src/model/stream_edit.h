// Refuses tool calls in a stream: what was to be sent is written event by event, without the refused calls, and so that
// the client's library takes it for an ordinary answer: indexes and sequence numbers without gaps, in the place of the
// call a text of the model with the notice (or nothing), and a stop reason that fits what is left. Events that need no
// change pass byte for byte.
//
// The caller holds back the events of a call from its `begin` until its `end`, decides, calls refuse() with each of its
// happenings if it must not pass, and then writes the held events in order. Chat sends the pieces of parallel calls
// mixed and ends all of them at once: hold from the first begin to the last end. The reader must have read each event
// before it is written. Bounded by the reader's bounds.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "model/json_edit.h"
#include "model/reader.h"

namespace stockade::model {

class StreamEditor {
 public:
  StreamEditor(Api api, Framing framing, const ResponseReader& reader, std::string notice)
      : api_(api), framing_(framing), reader_(&reader), notice_(std::move(notice)) {}

  void refuse(const Happening& of_the_call);
  bool has_refused() const { return !refused_.empty(); }
  // The bytes to send for that event: none, the event, or several. For a WebSocket each is a message.
  Result<std::vector<std::string>> write(const StreamEvent& event);

 private:
  std::vector<std::string> write_anthropic(const StreamEvent& event, JsonEdit& edit);
  std::vector<std::string> write_responses(const StreamEvent& event, JsonEdit& edit);
  void edit_chat(JsonEdit& edit);
  void edit_gemini(const StreamEvent& event, JsonEdit& edit);
  void edit_ollama(const StreamEvent& event, JsonEdit& edit);
  std::vector<std::string> edited(const StreamEvent& event, const JsonEdit& edit) const;
  std::vector<std::string> notice_item(uint32_t index, uint64_t& sequence) const;
  uint32_t dropped_before(const Item& item) const;
  bool any_call_left(uint32_t choice) const;

  Api api_;
  Framing framing_;
  const ResponseReader* reader_;
  std::string notice_;
  std::set<Item> refused_;
  std::set<std::string> refused_ids_;
  std::map<uint64_t, std::vector<ByteRange>> ranges_;  // by event, for the APIs whose calls have no index
  std::set<Item> told_;                                // has its notice
  int64_t sequence_shift_ = 0;
  JsonDocument document_;
};

}  // namespace stockade::model
