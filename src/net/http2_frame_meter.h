// Counts HTTP/2 frames (RFC 9113, section 4.1) in front of the parser, so that floods end before they cost anything:
// rapid resets (CVE-2023-44487), CONTINUATION floods (CVE-2024-27316), and the 2019 floods of PING, SETTINGS, PRIORITY,
// WINDOW_UPDATE and empty frames (CVE-2019-9511 to 9518). It reads the nine bytes of each frame header and nothing
// else; what frames mean is nghttp2's business.
//
// Counts hold for one window of time; whoever owns the meter tells the time with advance(). Without it one window is
// the whole life of the connection. Honest peers send control frames as they move data, so each frame with data, in
// either direction, earns them a few.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace stockade::net {

struct H2FloodLimits {
  std::chrono::milliseconds window{10'000};
  uint32_t resets = 200;            // RST_STREAM of the peer, and streams that we had to reset, a window
  uint32_t pings = 200;             // PING without and with ACK
  uint32_t settings = 32;           // SETTINGS; an ACK counts
  uint32_t empty_frames = 100;      // DATA without content that does not end its stream
  uint32_t priorities = 400;        // PRIORITY and PRIORITY_UPDATE
  uint32_t window_updates = 2000;   // and four more for each frame with data
  uint32_t unknown_frames = 100;    // extensions (RFC 9113, 5.5), and frames that only servers or nobody may send
  uint32_t heads = 2000;            // HEADERS
  uint32_t continuations = 8;       // CONTINUATION frames of one head
  uint32_t head_bytes = 64 * 1024;  // of one head, compressed
};

class H2FrameMeter {
 public:
  // `preface`: bytes in front of the first frame (a client's 24).
  H2FrameMeter(const H2FloodLimits& limits, size_t preface) : limits_(limits), left_(preface) {}

  struct Taken {
    size_t size = 0;               // bytes up to the end of a frame, of its header or of `bytes`, whichever comes first
    const char* breach = nullptr;  // what there was too much of; the frame must not be parsed
    const char* fault = nullptr;   // what nghttp2 would overlook
  };
  // Looks at the front of `bytes`. Call until all are taken; hand on what was taken.
  Taken take(std::string_view bytes);
  bool between_frames() const { return left_ == 0 && header_size_ == 0; }

  // A frame with data went out (or came in).
  void count_data() { data_frames_ += data_frames_ < UINT32_MAX; }
  // We reset a stream for the peer's fault, which must cost it as much as its own resets; true when that is too many.
  bool count_reset() { return over(resets_, limits_.resets); }
  void advance(std::chrono::milliseconds now);

 private:
  const char* judge_header();
  const char* judge_data(size_t content);
  static bool over(uint32_t& count, uint64_t limit) { return ++count > limit; }

  H2FloodLimits limits_;
  size_t left_;  // of the frame's payload, or of the preface
  std::array<uint8_t, 9> header_{};
  uint8_t header_size_ = 0;
  bool padding_next_ = false;  // the next byte is the length of a DATA frame's padding
  std::optional<std::chrono::milliseconds> window_start_;
  uint32_t resets_ = 0, pings_ = 0, settings_ = 0, empty_frames_ = 0, priorities_ = 0, window_updates_ = 0,
           unknown_frames_ = 0, heads_ = 0, data_frames_ = 0;
  uint32_t continuations_ = 0, head_bytes_ = 0;  // of the present head
};

}  // namespace stockade::net
