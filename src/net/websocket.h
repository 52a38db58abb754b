// WebSocket frames and messages (RFC 6455, sections 5 to 8; permessage-deflate: RFC 7692), read strictly and in pieces:
// reserved bits and opcodes, lengths not in their shortest form, wrong masking, control frames that are fragmented or
// long, text that is not UTF-8 (refused at the byte that makes it so) and close codes that nobody may send are refused,
// each with the close code to answer with.
//
// Messages come out whole, because they are inspected whole; WebSocketLimits bounds them. What goes out is written here
// too, never copied from what came in. Pure state machines, any thread; masks and deflaters are the caller's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace stockade::net {

class WebSocketInflater;
class WebSocketDeflater;

enum class WebSocketOpcode : uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

// RFC 6455, section 7.4.1, as far as an endpoint sends them.
enum class WebSocketClose : uint16_t {
  normal = 1000,
  going_away = 1001,
  protocol_error = 1002,
  unsupported_data = 1003,
  none = 1005,  // a close frame without a code; never sent
  invalid_payload = 1007,
  policy_violation = 1008,
  too_big = 1009,
  internal_error = 1011,
};

// Who sent the bytes that are read: a client masks each frame, a server none.
enum class WebSocketSender { client, server };

struct WebSocketLimits {
  size_t message = 16 * 1024 * 1024;  // bytes of a message, inflated
  size_t fragments = 16 * 1024;       // frames of one message
  size_t empty_fragments = 64;        // of one message
  size_t control_frames = 1024;       // pings and pongs without a message between them
};

struct WebSocketMessage {
  WebSocketOpcode opcode = WebSocketOpcode::text;  // text, binary, ping, pong, close
  std::string payload;                             // of a close: the reason
  WebSocketClose code = WebSocketClose::none;      // of a close
  bool compressed = false;                         // it came compressed
};

class WebSocketReader {
 public:
  // `inflater`: when permessage-deflate was agreed on; it outlives the reader.
  explicit WebSocketReader(WebSocketSender sender, const WebSocketLimits& limits = {},
                           WebSocketInflater* inflater = nullptr)
      : sender_(sender), limits_(limits), inflater_(inflater) {}

  // Takes bytes up to the end of a message, or of all, and returns how many. After a close frame nothing more is
  // taken: what follows is not for anybody (RFC 6455, section 5.5.1).
  Result<size_t> feed(std::string_view bytes);
  bool has_message() const { return complete_; }
  WebSocketMessage take_message();
  bool closed() const { return closed_; }
  bool in_message() const { return in_message_; }  // between two fragments
  // The connection ended: an Error without a close frame, or in the midst of a frame.
  Result<void> finish() const;
  // What to close with after feed() failed.
  WebSocketClose close_code() const { return close_code_; }
  size_t held() const { return message_.capacity() + control_.capacity() + fragment_.capacity(); }

 private:
  // RFC 3629 by Hoehrmann's table would be shorter to run and longer to read; this remembers what may come next.
  struct Utf8 {
    uint8_t left = 0;                 // continuation bytes of the present character
    uint8_t low = 0x80, high = 0xbf;  // what the next of them may be
    bool take(std::string_view bytes);
  };

  std::unexpected<Error> refuse(WebSocketClose code, std::string_view reason);
  size_t header_size() const;
  Result<void> begin_frame();
  Result<void> check_header(WebSocketOpcode opcode, bool reserved, uint64_t length);
  Result<void> begin_data(WebSocketOpcode opcode, bool compressed, uint64_t length);
  Result<size_t> take_payload(std::string_view bytes);
  Result<void> add_content(std::string_view bytes);
  Result<void> end_frame();
  Result<void> end_message();
  Result<void> end_close();

  WebSocketSender sender_;
  WebSocketLimits limits_;
  WebSocketInflater* inflater_;

  std::array<uint8_t, 14> header_{};
  uint8_t header_size_ = 0;
  bool in_frame_ = false;
  bool final_ = false;
  WebSocketOpcode frame_ = WebSocketOpcode::continuation;
  uint64_t left_ = 0;  // of the payload
  std::array<uint8_t, 4> mask_{};
  uint8_t mask_at_ = 0;

  bool in_message_ = false;
  WebSocketOpcode opcode_ = WebSocketOpcode::text;  // of the message
  bool compressed_ = false;
  std::string message_;
  std::string fragment_;  // compressed bytes of one piece, unmasked
  size_t fragments_ = 0, empty_fragments_ = 0, control_frames_ = 0;
  Utf8 utf8_;

  std::string control_;
  bool complete_ = false;
  bool failed_ = false;
  WebSocketMessage ready_;
  bool closed_ = false;
  WebSocketClose close_code_ = WebSocketClose::none;
};

// ---- writing

using WebSocketMask = std::array<uint8_t, 4>;

struct WebSocketFrame {
  WebSocketOpcode opcode = WebSocketOpcode::text;
  bool final = true;
  bool compressed = false;  // RSV1
};
// Appends one frame to `out`. A client's frame needs a mask that nobody can foresee (RFC 6455, section 5.3).
void write_websocket_frame(std::string& out, const WebSocketFrame& frame, std::string_view payload,
                           const std::optional<WebSocketMask>& mask);
// A close frame; `reason` is cut to 123 bytes between two characters. WebSocketClose::none: without a code.
void write_websocket_close(std::string& out, WebSocketClose code, std::string_view reason,
                           const std::optional<WebSocketMask>& mask);
// A whole message in one frame, compressed when there is a deflater. Pings and the like are never compressed.
Result<void> write_websocket_message(std::string& out, WebSocketOpcode opcode, std::string_view payload,
                                     WebSocketDeflater* deflater, const std::optional<WebSocketMask>& mask);

// May this code stand in a close frame? (RFC 6455, section 7.4; IANA's registry)
bool is_websocket_close_code(uint16_t code);

}  // namespace stockade::net
