#include "net/websocket.h"

#include <algorithm>
#include <cstring>

#include "base/printable.h"
#include "net/websocket_deflate.h"

namespace stockade::net {

namespace {

constexpr uint8_t kFinal = 0x80;
constexpr uint8_t kReserved1 = 0x40;
constexpr uint8_t kReserved = 0x70;
constexpr uint8_t kMasked = 0x80;
constexpr size_t kControlLimit = 125;

bool is_control(WebSocketOpcode opcode) { return static_cast<uint8_t>(opcode) >= 8; }

// Eight bytes at a time: masking is all that most bytes cost us.
void apply_mask(char* data, size_t size, const WebSocketMask& mask, size_t at) {
  uint8_t turned[8];
  for (size_t i = 0; i < 8; ++i) turned[i] = mask[(at + i) & 3];
  uint64_t wide = 0;
  std::memcpy(&wide, turned, sizeof wide);
  size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, data + i, sizeof word);
    word ^= wide;
    std::memcpy(data + i, &word, sizeof word);
  }
  for (; i < size; ++i) data[i] = static_cast<char>(static_cast<uint8_t>(data[i]) ^ turned[i & 7]);
}

}  // namespace

bool is_websocket_close_code(uint16_t code) {
  if (code >= 3000) return code <= 4999;
  // 1012 to 1014 came later (IANA); 1004 to 1006 and 1015 never stand in a frame.
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}

// ---- reading

bool WebSocketReader::Utf8::take(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (left == 0) {  // most text is ASCII
      uint64_t word = 0;
      while (i + 8 <= bytes.size()) {
        std::memcpy(&word, bytes.data() + i, sizeof word);
        if ((word & 0x8080808080808080u) != 0) break;
        i += 8;
      }
      if (i == bytes.size()) break;
    }
    const auto byte = static_cast<uint8_t>(bytes[i]);
    if (left > 0) {
      if (byte < low || byte > high) return false;
      low = 0x80;
      high = 0xbf;
      --left;
    } else if (byte < 0x80) {
      continue;
    } else if (byte >= 0xc2 && byte <= 0xdf) {
      left = 1;
    } else if (byte >= 0xe0 && byte <= 0xef) {
      left = 2;
      if (byte == 0xe0) low = 0xa0;   // no overlong forms
      if (byte == 0xed) high = 0x9f;  // no surrogates
    } else if (byte >= 0xf0 && byte <= 0xf4) {
      left = 3;
      if (byte == 0xf0) low = 0x90;
      if (byte == 0xf4) high = 0x8f;  // nothing beyond U+10FFFF
    } else {
      return false;
    }
  }
  return true;
}

std::unexpected<Error> WebSocketReader::refuse(WebSocketClose code, std::string_view reason) {
  close_code_ = code;
  failed_ = true;
  return fail(code == WebSocketClose::too_big || code == WebSocketClose::policy_violation ? ErrorKind::limit
                                                                                          : ErrorKind::protocol,
              "WebSocket: {}", reason);
}

// How long the present header is, as far as its first two bytes tell.
size_t WebSocketReader::header_size() const {
  if (header_size_ < 2) return 2;
  const uint8_t length = header_[1] & 0x7f;
  const size_t extended = length == 127 ? 8 : length == 126 ? 2 : 0;
  return 2 + extended + ((header_[1] & kMasked) != 0 ? 4 : 0);
}

Result<size_t> WebSocketReader::feed(std::string_view bytes) {
  if (failed_) return fail(ErrorKind::protocol, "WebSocket: more bytes after a fault");
  size_t taken = 0;
  while (!complete_ && !closed_) {
    if (!in_frame_) {
      while (header_size_ < header_size() && taken < bytes.size()) {
        header_[header_size_++] = static_cast<uint8_t>(bytes[taken++]);
        // The first two bytes say enough to refuse most of what is wrong, before its payload is waited for.
        if (header_size_ == 2 && header_size() > 2) STOCKADE_TRY(begin_frame());
      }
      if (header_size_ < header_size()) return taken;
      STOCKADE_TRY(begin_frame());
      in_frame_ = true;
    }
    STOCKADE_ASSIGN(const size_t count, take_payload(bytes.substr(taken)));
    taken += count;
    if (left_ > 0) return taken;
    STOCKADE_TRY(end_frame());
  }
  return taken;
}

// Judges the header: once with its first two bytes, and again when it is complete.
Result<void> WebSocketReader::begin_frame() {
  const auto opcode = static_cast<WebSocketOpcode>(header_[0] & 0x0f);
  uint64_t length = header_[1] & 0x7f;
  const bool whole = header_size_ == header_size();
  if (header_size_ == 2 || whole) {
    const uint8_t number = header_[0] & 0x0f;
    if ((number >= 3 && number <= 7) || number > 10)
      return refuse(WebSocketClose::protocol_error, "a frame with a reserved opcode");
    final_ = (header_[0] & kFinal) != 0;
    const bool compression = (header_[0] & kReserved) == kReserved1 && inflater_ != nullptr && !is_control(opcode) &&
                             opcode != WebSocketOpcode::continuation;
    STOCKADE_TRY(check_header(opcode, (header_[0] & kReserved) != 0 && !compression, length));
  }
  if (!whole) return {};
  size_t at = 2;
  if (length >= 126) {
    const size_t bytes = length == 126 ? 2 : 8;
    const uint64_t least = length == 126 ? 126 : 0x10000;
    length = 0;
    for (size_t i = 0; i < bytes; ++i) length = length << 8 | header_[at++];
    if (length < least)
      return refuse(WebSocketClose::protocol_error, "a frame length that is not in its shortest form");
    if (length >> 63 != 0) return refuse(WebSocketClose::protocol_error, "a frame length of 64 bits");
  }
  if ((header_[1] & kMasked) != 0) std::copy_n(header_.begin() + static_cast<std::ptrdiff_t>(at), 4, mask_.begin());
  mask_at_ = 0;
  frame_ = opcode;
  left_ = length;
  if (!is_control(opcode)) return begin_data(opcode, (header_[0] & kReserved1) != 0, length);
  if (++control_frames_ > limits_.control_frames)
    return refuse(WebSocketClose::policy_violation, "too many control frames");
  control_.clear();
  return {};
}

Result<void> WebSocketReader::check_header(WebSocketOpcode opcode, bool reserved, uint64_t length) {
  if (reserved) return refuse(WebSocketClose::protocol_error, "a frame with a reserved bit");
  if (((header_[1] & kMasked) != 0) != (sender_ == WebSocketSender::client))
    return refuse(WebSocketClose::protocol_error, sender_ == WebSocketSender::client ? "a client's frame without a mask"
                                                                                     : "a server's frame with a mask");
  if (is_control(opcode)) {
    if (!final_) return refuse(WebSocketClose::protocol_error, "a control frame in fragments");
    if (length > kControlLimit) return refuse(WebSocketClose::protocol_error, "a control frame of more than 125 bytes");
  } else if ((opcode == WebSocketOpcode::continuation) != in_message_) {
    return refuse(WebSocketClose::protocol_error,
                  in_message_ ? "a new message inside of a fragmented one" : "a continuation of no message");
  }
  return {};
}

Result<void> WebSocketReader::begin_data(WebSocketOpcode opcode, bool compressed, uint64_t length) {
  if (opcode != WebSocketOpcode::continuation) {
    in_message_ = true;
    opcode_ = opcode;
    compressed_ = compressed;
    message_.clear();
    utf8_ = {};
    fragments_ = empty_fragments_ = 0;
  }
  if (++fragments_ > limits_.fragments || (length == 0 && !final_ && ++empty_fragments_ > limits_.empty_fragments))
    return refuse(WebSocketClose::policy_violation, "a message in too many fragments");
  // Compressed bytes are bounded too: a frame longer than the message may be can't inflate to less.
  if (length > limits_.message || (!compressed_ && message_.size() + length > limits_.message))
    return refuse(WebSocketClose::too_big, "a message that is too long");
  return {};
}

Result<size_t> WebSocketReader::take_payload(std::string_view bytes) {
  const auto piece = bytes.substr(0, static_cast<size_t>(std::min<uint64_t>(left_, bytes.size())));
  if (piece.empty()) return 0;
  std::string& target = is_control(frame_) ? control_ : compressed_ ? fragment_ : message_;
  const size_t before = target.size();
  target.append(piece);
  if (sender_ == WebSocketSender::client) {
    apply_mask(target.data() + before, piece.size(), mask_, mask_at_);
#ifndef STOCKADE_PLANTED_BUG  // the mask begins anew with each piece
    mask_at_ = static_cast<uint8_t>((mask_at_ + piece.size()) & 3);
#endif
  }
  left_ -= piece.size();
  if (is_control(frame_)) return piece.size();
  if (compressed_) {
    const std::string input = std::exchange(fragment_, {});
    const size_t inflated = message_.size();
    if (auto result = inflater_->inflate(input, message_, limits_.message); !result) {
      failed_ = true;
      close_code_ =
          result.error().kind() == ErrorKind::limit ? WebSocketClose::too_big : WebSocketClose::invalid_payload;
      return std::unexpected(std::move(result).error());
    }
    STOCKADE_TRY(add_content(std::string_view(message_).substr(inflated)));
  } else {
    STOCKADE_TRY(add_content(std::string_view(message_).substr(before)));
  }
  return piece.size();
}

// `bytes` were added to the message.
Result<void> WebSocketReader::add_content(std::string_view bytes) {
  if (opcode_ == WebSocketOpcode::text && !utf8_.take(bytes))
    return refuse(WebSocketClose::invalid_payload, "a text that is not UTF-8");
  return {};
}

Result<void> WebSocketReader::end_frame() {
  in_frame_ = false;
  header_size_ = 0;
  if (frame_ == WebSocketOpcode::close) return end_close();
  if (is_control(frame_)) {
    ready_ = {.opcode = frame_, .payload = std::exchange(control_, {})};
    complete_ = true;
    return {};
  }
  return final_ ? end_message() : Result<void>{};
}

Result<void> WebSocketReader::end_message() {
  if (compressed_) {
    const size_t inflated = message_.size();
    if (auto result = inflater_->end_message(message_, limits_.message); !result) {
      failed_ = true;
      close_code_ =
          result.error().kind() == ErrorKind::limit ? WebSocketClose::too_big : WebSocketClose::invalid_payload;
      return std::unexpected(std::move(result).error());
    }
    STOCKADE_TRY(add_content(std::string_view(message_).substr(inflated)));
  }
  if (opcode_ == WebSocketOpcode::text && utf8_.left > 0)
    return refuse(WebSocketClose::invalid_payload, "a text that ends inside of a character");
  in_message_ = false;
  control_frames_ = 0;
  ready_ = {.opcode = opcode_, .payload = std::exchange(message_, {}), .compressed = compressed_};
  complete_ = true;
  return {};
}

Result<void> WebSocketReader::end_close() {
  WebSocketMessage message{.opcode = WebSocketOpcode::close};
  if (!control_.empty()) {
    if (control_.size() == 1) return refuse(WebSocketClose::protocol_error, "a close frame of one byte");
    const auto code = static_cast<uint16_t>(static_cast<uint8_t>(control_[0]) << 8 | static_cast<uint8_t>(control_[1]));
    if (!is_websocket_close_code(code))
      return refuse(WebSocketClose::protocol_error, "a close code that nobody may send");
    message.code = static_cast<WebSocketClose>(code);
    message.payload = control_.substr(2);
    Utf8 utf8;
    if (!utf8.take(message.payload) || utf8.left > 0)
      return refuse(WebSocketClose::invalid_payload, "a close reason that is not UTF-8");
  }
  control_ = {};
  ready_ = std::move(message);
  complete_ = closed_ = true;
  return {};
}

WebSocketMessage WebSocketReader::take_message() {
  complete_ = false;
  return std::exchange(ready_, {});
}

Result<void> WebSocketReader::finish() const {
  if (closed_) return {};
  if (in_frame_ || header_size_ > 0 || in_message_)
    return fail(ErrorKind::protocol, "WebSocket: the connection ended in the midst of a message");
  return fail(ErrorKind::protocol, "WebSocket: the connection ended without a close frame");
}

// ---- writing

void write_websocket_frame(std::string& out, const WebSocketFrame& frame, std::string_view payload,
                           const std::optional<WebSocketMask>& mask) {
  const auto push = [&](uint64_t byte) { out.push_back(static_cast<char>(byte & 0xff)); };
  push((frame.final ? kFinal : 0u) | (frame.compressed ? kReserved1 : 0u) | static_cast<uint8_t>(frame.opcode));
  const unsigned masked = mask ? kMasked : 0u;
  size_t extended = 0;
  if (payload.size() < 126) {
    push(masked | payload.size());
  } else {
    extended = payload.size() < 0x10000 ? 2 : 8;
    push(masked | (extended == 2 ? 126u : 127u));
  }
  for (size_t i = extended; i > 0; --i) push(static_cast<uint64_t>(payload.size()) >> (8 * (i - 1)));
  if (mask) out.append(mask->begin(), mask->end());
  const size_t before = out.size();
  out.append(payload);
  if (mask) apply_mask(out.data() + before, payload.size(), *mask, 0);
}

void write_websocket_close(std::string& out, WebSocketClose code, std::string_view reason,
                           const std::optional<WebSocketMask>& mask) {
  std::string payload;
  if (code != WebSocketClose::none) {
    payload.push_back(static_cast<char>(static_cast<uint16_t>(code) >> 8));
    payload.push_back(static_cast<char>(static_cast<uint16_t>(code) & 0xff));
    while (!reason.empty()) {
      const CodePoint point = decode_utf8(reason);
      if (point.length == 0 || payload.size() + point.length > kControlLimit) break;
      payload.append(reason.substr(0, point.length));
      reason.remove_prefix(point.length);
    }
  }
  write_websocket_frame(out, {.opcode = WebSocketOpcode::close}, payload, mask);
}

Result<void> write_websocket_message(std::string& out, WebSocketOpcode opcode, std::string_view payload,
                                     WebSocketDeflater* deflater, const std::optional<WebSocketMask>& mask) {
  if (is_control(opcode) && payload.size() > kControlLimit)
    return fail(ErrorKind::internal, "a control frame of more than 125 bytes");
  if (deflater == nullptr || is_control(opcode)) {
    write_websocket_frame(out, {.opcode = opcode}, payload, mask);
    return {};
  }
  STOCKADE_ASSIGN(const std::string compressed, deflater->deflate(payload));
  write_websocket_frame(out, {.opcode = opcode, .compressed = true}, compressed, mask);
  return {};
}

}  // namespace stockade::net
