#include "net/http2_frame_meter.h"

#include <algorithm>
#include <cstring>

namespace stockade::net {

namespace {

// Frame types (RFC 9113, section 6; RFC 9218, section 7.1) and the flag that DATA and HEADERS end their stream with.
enum : uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kResetStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoAway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
  kPriorityUpdate = 16,
};
constexpr uint8_t kEndStream = 1;
constexpr uint8_t kPadded = 8;

}  // namespace

H2FrameMeter::Taken H2FrameMeter::take(std::string_view bytes) {
  if (padding_next_) {
    padding_next_ = false;
    const size_t framing = size_t{1} + static_cast<uint8_t>(bytes[0]);
    const char* breach = judge_data(left_ > framing ? left_ - framing : 0);
    --left_;
    return {1, breach};
  }
  if (left_ > 0) {
    const size_t size = std::min(left_, bytes.size());
    left_ -= size;
    return {size};
  }
  const size_t size = std::min(header_.size() - header_size_, bytes.size());
#ifdef STOCKADE_PLANTED_BUG
  std::memcpy(header_.data(), bytes.data(), size);  // forgets what an earlier piece brought
#else
  std::memcpy(header_.data() + header_size_, bytes.data(), size);
#endif
  header_size_ = static_cast<uint8_t>(header_size_ + size);
  if (header_size_ < header_.size()) return {size};
  header_size_ = 0;
  left_ = static_cast<size_t>(header_[0]) << 16 | static_cast<size_t>(header_[1]) << 8 | header_[2];
  // RFC 9113, 6.3: nghttp2 does not look at PRIORITY once priorities are off.
  const bool on_connection =
      std::all_of(header_.begin() + 6, header_.end(), [](uint8_t b) { return b == 0; }) && (header_[5] & 0x7f) == 0;
  if (header_[3] == kPriority && on_connection) return {size, nullptr, "PRIORITY on stream 0"};
  return {size, judge_header()};
}

const char* H2FrameMeter::judge_header() {
  const uint8_t type = header_[3];
  switch (type) {
    case kData:
      // Padding without content is as empty as no payload.
      padding_next_ = (header_[4] & kPadded) != 0 && left_ > 0;
      return padding_next_ ? nullptr : judge_data(left_);
    case kHeaders:
      continuations_ = 0;
      head_bytes_ = static_cast<uint32_t>(left_);
      if (head_bytes_ > limits_.head_bytes) return "bytes in a head";
      return over(heads_, uint64_t{limits_.heads} + data_frames_) ? "HEADERS frames" : nullptr;
    case kContinuation:
      head_bytes_ += static_cast<uint32_t>(left_);
      if (head_bytes_ > limits_.head_bytes) return "bytes in a head";
      return over(continuations_, limits_.continuations) ? "CONTINUATION frames" : nullptr;
    case kPriority:
    case kPriorityUpdate:
      return over(priorities_, limits_.priorities) ? "PRIORITY frames" : nullptr;
    case kResetStream:
      return over(resets_, limits_.resets) ? "RST_STREAM frames (rapid reset)" : nullptr;
    case kSettings:
      return over(settings_, limits_.settings) ? "SETTINGS frames" : nullptr;
    case kPing:
      return over(pings_, uint64_t{limits_.pings} + data_frames_) ? "PING frames" : nullptr;
    case kWindowUpdate:
      return over(window_updates_, limits_.window_updates + 4 * uint64_t{data_frames_}) ? "WINDOW_UPDATE frames"
                                                                                        : nullptr;
    case kGoAway:
    default:
      return over(unknown_frames_, limits_.unknown_frames) ? "frames of unknown types" : nullptr;
  }
}

const char* H2FrameMeter::judge_data(size_t content) {
  if (content > 0) {
    count_data();
    return nullptr;
  }
  const bool ends = (header_[4] & kEndStream) != 0;
  return !ends && over(empty_frames_, limits_.empty_frames) ? "empty DATA frames" : nullptr;
}

void H2FrameMeter::advance(std::chrono::milliseconds now) {
  if (window_start_ && now - *window_start_ < limits_.window) return;
  const bool first = !window_start_;
  window_start_ = now;
  if (first) return;
  resets_ = pings_ = settings_ = empty_frames_ = priorities_ = window_updates_ = unknown_frames_ = heads_ =
      data_frames_ = 0;
}

}  // namespace stockade::net
