// Where the body of an HTTP/1 message ends (RFC 9112, sections 6 and 7), byte by byte or in pieces: the same bytes give
// the same answer however they are cut. What follows the end is the next message and is left alone, so that every
// request on a kept connection is judged. Chunk sizes, extensions and trailers are read as strictly as heads. Pure, any
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/http1.h"

namespace stockade::net {

inline constexpr size_t kTrailerLimit = 8 * 1024;
inline constexpr size_t kChunkExtensionLimit = 256;        // of one chunk, in a response; requests have none
inline constexpr size_t kChunkExtensionTotal = 16 * 1024;  // of one message

enum class MessageSide { request, response };

class BodyFramer {
 public:
  BodyFramer(BodyFraming framing, MessageSide side);

  // Takes bytes up to the end of the message and returns how many. Appends what they carry, without the framing, to
  // `content` if there is one.
  Result<size_t> consume(std::string_view bytes, std::string* content = nullptr);
  bool done() const { return state_ == State::done; }
  // The peer closed its side: the end of a body until_close, an error in the midst of any other.
  Result<void> finish();
  // The fields behind a chunked body; complete when it is done.
  std::vector<HttpField> take_trailers() { return std::exchange(trailer_fields_, {}); }

 private:
  enum class State { counted, unbounded, chunk_line, chunk_data, chunk_end, trailer_line, done };

  Result<size_t> take_line(std::string_view bytes, size_t limit, bool& complete);
  Result<void> end_chunk_line();
  Result<void> end_trailer_line();

  State state_;
  MessageSide side_;
  uint64_t left_;  // of the body, or of the chunk
  std::string line_;
  size_t extensions_ = 0;
  size_t trailers_ = 0;  // bytes
  std::vector<HttpField> trailer_fields_;
};

}  // namespace stockade::net
