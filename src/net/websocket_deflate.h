// permessage-deflate (RFC 7692): negotiation, and the two compressors. Inflated messages are bounded in size and in
// their ratio to what came; a window that the offer does not allow is not used. One inflater and one deflater a
// connection and direction; each holds about 44 KiB (inflater, 32 KiB window) or 256 KiB less window savings (deflater)
// once it is used, and nothing before: without context takeover it is given back after each message.
//
// Pure, one thread each.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace stockade::net {

struct WebSocketDeflateParameters {
  bool server_no_context_takeover = false;
  bool client_no_context_takeover = false;
  uint8_t server_max_window_bits = 15;
  // Of an offer: absent when the client does not know the parameter, so an answer may not name it. 0: offered without
  // a value.
  std::optional<uint8_t> client_max_window_bits;
  bool operator==(const WebSocketDeflateParameters&) const = default;
};

// One element of Sec-WebSocket-Extensions (RFC 6455, section 9.1).
struct WebSocketExtension {
  std::string name;
  std::vector<std::pair<std::string, std::optional<std::string>>> parameters;
};
// The value of one or more fields, joined by commas. Refuses what is not in its grammar.
Result<std::vector<WebSocketExtension>> parse_websocket_extensions(std::string_view value);

// The first offer in a client's field that we can accept, or nothing; offers with unknown, repeated or malformed
// parameters are declined, as section 5.1 says, not errors.
std::optional<WebSocketDeflateParameters> choose_deflate_offer(const std::vector<WebSocketExtension>& offers);
// What a server answers to `offer`: no context takeover either way where `thrifty`, so that an idle connection holds no
// window.
WebSocketDeflateParameters answer_deflate_offer(const WebSocketDeflateParameters& offer, bool thrifty);
// A server's answer, judged against what we offered: anything else fails the connection (section 5.1).
Result<std::optional<WebSocketDeflateParameters>> read_deflate_answer(const std::vector<WebSocketExtension>& answer,
                                                                      const WebSocketDeflateParameters& offer);
std::string write_deflate_offer(const WebSocketDeflateParameters& offer);
std::string write_deflate_answer(const WebSocketDeflateParameters& answer);

struct WebSocketDeflateOptions {
  uint8_t window_bits = 15;  // of the sender
  bool context_takeover = true;
  // What a message may inflate to: `ratio` bytes for each that came, or `ratio_free` bytes if that is more.
  size_t ratio = 200;
  size_t ratio_free = 1024 * 1024;
};

class WebSocketInflater {
 public:
  explicit WebSocketInflater(const WebSocketDeflateOptions& options);
  ~WebSocketInflater();
  WebSocketInflater(const WebSocketInflater&) = delete;
  WebSocketInflater& operator=(const WebSocketInflater&) = delete;

  // Appends to `message` what `bytes` inflate to. ErrorKind::limit when it grows over `limit` or the ratio.
  Result<void> inflate(std::string_view bytes, std::string& message, size_t limit);
  // The message's last frame has come.
  Result<void> end_message(std::string& message, size_t limit);

 private:
  struct Stream;
  Result<void> run(std::string_view bytes, std::string& message, size_t limit);

  WebSocketDeflateOptions options_;
  std::unique_ptr<Stream> stream_;
  uint64_t in_ = 0;        // bytes of the present message
  bool finished_ = false;  // its last block was marked as such
};

class WebSocketDeflater {
 public:
  explicit WebSocketDeflater(const WebSocketDeflateOptions& options);
  ~WebSocketDeflater();
  WebSocketDeflater(const WebSocketDeflater&) = delete;
  WebSocketDeflater& operator=(const WebSocketDeflater&) = delete;

  // One whole message, without its empty last block (section 7.2.1).
  Result<std::string> deflate(std::string_view message);

 private:
  struct Stream;
  WebSocketDeflateOptions options_;
  std::unique_ptr<Stream> stream_;
};

}  // namespace stockade::net
