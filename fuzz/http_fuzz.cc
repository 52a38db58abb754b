// HTTP/1 heads and bodies. Heads: the same however they are cut, and what we write of them reads back the same.
// Bodies: the same however they are cut, and llhttp, fed with a sound head and the same bytes, finds the same content
// and the same end.
//
// covers: src/net/http1.cc src/net/http1_body.cc src/net/http_field.cc src/net/http_second_reading.cc
#include <llhttp.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "net/http1.h"
#include "net/http1_body.h"
#include "net/path.h"

namespace {

using namespace stockade;
using namespace stockade::net;

void require(bool condition) {
  if (!condition) std::abort();
}

// The head that `bytes` begin with, or nothing.
std::string collect(std::string_view bytes, size_t piece) {
  HeadReader reader;
  for (size_t at = 0; at < bytes.size() && !reader.complete();) {
    const std::string exact(bytes.substr(at, piece));
    const auto taken = reader.feed(exact);
    if (!taken) return "refused";
    at += *taken;
  }
  return reader.complete() ? reader.take() : "incomplete";
}

void fuzz_request(std::string_view bytes, RequestPlace place) {
  const std::string text = collect(bytes, bytes.size() + 1);
  require(text == collect(bytes, 1) && text == collect(bytes, 7));
  const auto head = parse_request_head(text, place);
  (void)parse_request_head(std::string(bytes), place);  // not collected first
  if (!head) return;
  (void)find_override(*head);
  if (head->form == TargetForm::origin || head->form == TargetForm::absolute) (void)normalise_path(head->path);
  if (text.size() > kHeadLimit / 2 || head->fields.size() == kFieldCountLimit) return;

  const bool connect = head->form == TargetForm::authority;
  if (connect && count_fields(head->fields, "host") == 0) return;  // sound in 1.0 only, and not for forwarding
  const auto again =
      parse_request_head(write_request_head(*head), connect ? RequestPlace::proxy : RequestPlace::origin);
  require(again.has_value());
  require(again->method == head->method && again->path == head->path && again->query == head->query);
  require(again->host == head->host && again->port.value_or(80) == head->port.value_or(80));
  require(again->body == head->body && again->keep_alive == head->keep_alive && again->upgrade == head->upgrade);
}

void fuzz_response(std::string_view bytes, std::string_view method) {
  const std::string text = collect(bytes, bytes.size() + 1);
  require(text == collect(bytes, 1));
  const auto head = parse_response_head(text, method);
  (void)parse_response_head(std::string(bytes), method);
  if (!head || text.size() > kHeadLimit / 2) return;
  const auto again = parse_response_head(write_response_head(*head), method);
  require(again && again->status == head->status && again->body == head->body && again->switching == head->switching);
}

struct Outcome {
  bool refused = false;
  bool done = false;
  size_t taken = 0;
  std::string content;
  bool operator==(const Outcome&) const = default;
};

Outcome frame(BodyFraming framing, MessageSide side, std::string_view bytes, size_t piece) {
  BodyFramer framer(framing, side);
  Outcome outcome;
  while (outcome.taken < bytes.size() && !framer.done()) {
    const std::string exact(bytes.substr(outcome.taken, piece));
    const auto taken = framer.consume(exact, &outcome.content);
    if (!taken) return {.refused = true};
    outcome.taken += *taken;
  }
  outcome.done = framer.done();
  const bool finished = framer.finish().has_value();
  require(finished == (outcome.done || framing.kind == BodyKind::until_close));
  return outcome;
}

// What Node.js makes of the same body.
Outcome frame_by_llhttp(MessageSide side, std::string_view bytes) {
  Outcome outcome;
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  settings.on_body = [](llhttp_t* parser, const char* at, size_t size) {
    static_cast<Outcome*>(parser->data)->content.append(at, size);
    return 0;
  };
  settings.on_message_complete = [](llhttp_t* parser) -> int {
    static_cast<Outcome*>(parser->data)->done = true;
    return HPE_PAUSED;
  };
  llhttp_t parser;
  llhttp_init(&parser, side == MessageSide::request ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
  parser.data = &outcome;
  const std::string_view head = side == MessageSide::request
                                    ? "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                                    : "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  llhttp_execute(&parser, head.data(), head.size());
  const auto error = llhttp_execute(&parser, bytes.data(), bytes.size());
  outcome.refused = error != HPE_OK && error != HPE_PAUSED;
  if (error == HPE_PAUSED) outcome.taken = static_cast<size_t>(llhttp_get_error_pos(&parser) - bytes.data());
  return outcome;
}

void fuzz_body(uint8_t mode, std::string_view bytes) {
  const auto side = mode & 1 ? MessageSide::response : MessageSide::request;
  BodyFraming framing{BodyKind::chunked};
  if (mode & 2) framing = {mode & 4 ? BodyKind::until_close : BodyKind::length, mode};
  const auto whole = frame(framing, side, bytes, bytes.size() + 1);
  require(whole == frame(framing, side, bytes, 1) && whole == frame(framing, side, bytes, 5));
  if (framing.kind != BodyKind::chunked || !whole.done) return;
  const auto other = frame_by_llhttp(side, bytes.substr(0, whole.taken));
  require(!other.refused && other.done && other.content == whole.content && other.taken == whole.taken);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const uint8_t mode = data[0];
  switch (mode % 8) {
    case 0:
      fuzz_request(bytes, RequestPlace::origin);
      break;
    case 1:
      fuzz_request(bytes, RequestPlace::proxy);
      break;
    case 2:
      fuzz_response(bytes, "GET");
      break;
    case 3:
      fuzz_response(bytes, mode & 8 ? "HEAD" : "CONNECT");
      break;
    case 4:
    case 5:
      fuzz_body(static_cast<uint8_t>(mode >> 3), bytes);
      break;
    default:
      fuzz_request("GET " + std::string(bytes) + " HTTP/1.1\r\nHost: a.example\r\n\r\n", RequestPlace::origin);
      break;
  }
  return 0;
}
