// The happenings of a request's body, of a response's body, and of a streamed response event by event. One
// ResponseReader reads one response (for the WebSocket form of Responses: one for each response.create). Nothing is
// held back: each event's happenings are there as soon as the event is, and the caller decides what to hold.
//
// Refused (protocol) where clients or servers would read differently: two keys that fold to one, an event whose name is
// not its type, arguments that are not what their pieces were, blocks out of order, pieces of nothing. Bounds:
// json_cursor.h, and for a response 4,096 calls and 16 MiB of arguments. Views in happenings live as long as the body
// or the event.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "model/event_splitter.h"
#include "model/happening.h"

namespace stockade::model {

class ResponseState;

Result<std::vector<Happening>> read_request(Api api, std::string_view body);
// A message of the client on the WebSocket of Responses; nothing but an empty list for those that ask for nothing.
Result<std::vector<Happening>> read_client_message(std::string_view message);

class ResponseReader {
 public:
  explicit ResponseReader(Api api);
  ~ResponseReader();
  ResponseReader(ResponseReader&&) noexcept;
  ResponseReader& operator=(ResponseReader&&) noexcept;

  // A response that is not streamed.
  Result<std::vector<Happening>> read_body(std::string_view body);
  // The next event. Appends to `out`, whose views live as long as event.data.
  Result<void> read_event(const StreamEvent& event, std::vector<Happening>& out);
  // The stream has ended. False if it broke off: a call is still open, or the end that the API announces never came.
  bool ended_well() const;

  const ResponseState& state() const { return *state_; }

 private:
  Api api_;
  JsonDocument document_;
  std::unique_ptr<ResponseState> state_;
  bool saw_end_ = false;
};

}  // namespace stockade::model
