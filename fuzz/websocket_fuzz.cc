// WebSocket: the same bytes give the same messages however they are cut, with compression and without; a message that
// was read can be written and reads back. Extensions: what is agreed on can be written and reads back.
//
// covers: src/net/websocket.cc src/net/websocket_deflate.cc
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/printable.h"
#include "net/websocket.h"
#include "net/websocket_deflate.h"

namespace {

using namespace stockade;
using namespace stockade::net;

constexpr WebSocketMask kMask = {1, 2, 3, 4};

void require(bool condition) {
  if (!condition) std::abort();
}

struct Heard {
  std::vector<std::string> messages;
  bool refused = false;
  WebSocketClose code = WebSocketClose::none;
  bool operator==(const Heard&) const = default;
};

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const CodePoint point = decode_utf8(text);
    if (point.length == 0) return false;
    text.remove_prefix(point.length);
  }
  return true;
}

Heard hear(uint8_t mode, std::string_view bytes, size_t piece) {
  const WebSocketDeflateOptions options{.window_bits = static_cast<uint8_t>(mode & 8 ? 9 : 15),
                                        .context_takeover = (mode & 4) != 0};
  WebSocketInflater inflater(options);
  const WebSocketLimits limits{.message = 64 * 1024, .fragments = 20, .empty_fragments = 4, .control_frames = 20};
  WebSocketReader reader(mode & 1 ? WebSocketSender::server : WebSocketSender::client, limits,
                         mode & 2 ? &inflater : nullptr);
  Heard heard;
  while (!bytes.empty() && !reader.closed()) {
    const std::string exact(bytes.substr(0, piece));
    const auto taken = reader.feed(exact);
    if (!taken) {
      heard.refused = true;
      heard.code = reader.close_code();
      require(heard.code != WebSocketClose::none);
      require(!reader.feed("x"));
      break;
    }
    require(*taken == exact.size() || reader.has_message());
    bytes.remove_prefix(*taken);
    if (!reader.has_message()) continue;
    const auto message = reader.take_message();
    require(message.payload.size() <= limits.message);
    if (message.opcode == WebSocketOpcode::text || message.opcode == WebSocketOpcode::close)
      require(is_utf8(message.payload));
    heard.messages.push_back(std::to_string(static_cast<int>(message.opcode)) +
                             std::to_string(static_cast<int>(message.code)) + message.payload);
  }
  return heard;
}

void write_and_read(std::string_view payload) {
  const WebSocketDeflateOptions options;
  WebSocketDeflater deflater(options);
  WebSocketInflater inflater(options);
  WebSocketReader reader(WebSocketSender::client, {}, &inflater);
  for (WebSocketDeflater* with : {static_cast<WebSocketDeflater*>(nullptr), &deflater, &deflater}) {
    std::string bytes;
    require(write_websocket_message(bytes, WebSocketOpcode::binary, payload, with, kMask).has_value());
    require(reader.feed(bytes).value() == bytes.size() && reader.has_message());
    require(reader.take_message().payload == payload);
  }
  std::string close;
  write_websocket_close(close, WebSocketClose::policy_violation, payload, kMask);
  require(reader.feed(close).value() == close.size());
  require(reader.take_message().code == WebSocketClose::policy_violation);
}

void negotiate(std::string_view value) {
  const auto extensions = parse_websocket_extensions(value);
  if (!extensions) return;
  const auto offer = choose_deflate_offer(*extensions);
  if (!offer) return;
  for (bool thrifty : {false, true}) {
    const auto answer = answer_deflate_offer(*offer, thrifty);
    const auto written = parse_websocket_extensions(write_deflate_answer(answer));
    require(written.has_value());
    if (answer.client_max_window_bits == 8) continue;  // zlib can't
    const auto read = read_deflate_answer(*written, *offer);
    require(read && *read == answer);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] >= 0xf0) {
    negotiate(bytes);
  } else if (data[0] >= 0xe0) {
    write_and_read(bytes);
  } else {
    const Heard whole = hear(data[0], bytes, bytes.size() + 1);
    require(whole == hear(data[0], bytes, 1) && whole == hear(data[0], bytes, 5));
  }
  return 0;
}
