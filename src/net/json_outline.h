// JSON of any length as it streams by, made short enough to be judged whole: a run of whitespace becomes one space, a
// string keeps its first kOutlineString bytes, and half a surrogate pair, which truncating programs send and no URL or
// name holds, becomes U+FFFD, as does a whole pair. What was no JSON before is none afterwards, except for that. Images
// and files in base64, the bulk of long requests, cost next to nothing. (RFC 8259)
//
// Not kept: what stands behind the first part of a long text. Owner: one message. Any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace stockade::net {

inline constexpr size_t kOutlineString = 64 * 1024;

class JsonOutline {
 public:
  // `limit`: of the outline's length. Past it feed() is an error of kind limit.
  explicit JsonOutline(size_t limit) : limit_(limit) {}

  Result<void> feed(std::string_view bytes);
  const std::string& text() const { return text_; }
  void clear() { text_ = std::string(); }

 private:
  enum class State { between, in_string, escaped, in_code_point, cut, cut_escaped };

  size_t take_string(std::string_view bytes);
  void step(char c);
  void end_code_point();

  size_t limit_;
  std::string text_;
  State state_ = State::between;
  size_t length_ = 0;  // of the string that is open
  size_t digits_ = 0;  // of the \u escape that is open
};

}  // namespace stockade::net
