// Content codings (RFC 9110, section 8.4.1): gzip, deflate (with the zlib header or, as many send it, without), br
// (RFC 7932), zstd (RFC 8878; the window of RFC 9659), and chains of them, decoded in pieces. A bomb ends early: what
// comes out is bounded in all and in its ratio to what went in, also between the links of a chain, whose intermediate
// results are never held whole.
//
// Strict where readers differ: bytes behind the end, skippable zstd frames (nobody sees what they carry) and a body
// that ends early are errors. Encoding is gzip only: what was rewritten is sent so, or plain. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace stockade::net {

enum class ContentCoding { gzip, deflate, brotli, zstd };

struct DecodeLimits {
  uint64_t output = 256 * 1024 * 1024;  // bytes that may come out
  uint64_t ratio = 256;                 // of them for each that went in,
  uint64_t ratio_free = 1024 * 1024;    // beyond the first
  size_t codings = 3;                   // of a chain
  int zstd_window_log = 23;             // 8 MiB
};

// The value of Content-Encoding, codings in the order in which they were applied; "identity" is none. An unknown one is
// ErrorKind::unavailable.
Result<std::vector<ContentCoding>> parse_content_codings(std::string_view value, size_t limit = DecodeLimits{}.codings);
std::string_view coding_name(ContentCoding coding);

class ContentDecoder {
 public:
  // `codings` as parse_content_codings gives them.
  static Result<ContentDecoder> make(const std::vector<ContentCoding>& codings, const DecodeLimits& limits = {});
  ContentDecoder(ContentDecoder&&) noexcept;
  ContentDecoder& operator=(ContentDecoder&&) noexcept;
  ~ContentDecoder();

  // Appends to `out` what `bytes` decode to. After an Error `out` has what came before it, and nothing more comes.
  Result<void> decode(std::string_view bytes, std::string& out);
  // The body ended: an Error in the midst of a stream. No bytes at all are a body too.
  Result<void> finish();
  uint64_t bytes_in() const { return in_; }
  uint64_t bytes_out() const { return out_; }

  class Link;  // one coding

 private:
  explicit ContentDecoder(const DecodeLimits& limits);
  Result<void> run(size_t link, std::string_view bytes, std::string& out);
  Result<void> emit(std::string_view bytes, std::string& out);

  DecodeLimits limits_;
  std::vector<std::unique_ptr<Link>> links_;  // the one applied last comes first
  uint64_t in_ = 0;
  uint64_t out_ = 0;
  bool failed_ = false;
};

class GzipEncoder {
 public:
  GzipEncoder();
  ~GzipEncoder();
  GzipEncoder(const GzipEncoder&) = delete;
  GzipEncoder& operator=(const GzipEncoder&) = delete;

  // `flush`: all so far can be decoded by the peer (an event stream needs it).
  Result<void> encode(std::string_view bytes, std::string& out, bool flush = false);
  Result<void> finish(std::string& out);

 private:
  struct Stream;
  Result<void> run(std::string_view bytes, std::string& out, int mode);
  std::unique_ptr<Stream> stream_;
};

}  // namespace stockade::net
