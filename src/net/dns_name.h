// Reading of DNS wire format: a cursor that never leaves its message, and names with their compression (RFC
// 1035, 4.1.4). Shared by the two sides of dns.h only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace stockade::net {

class DnsCursor {
 public:
  explicit DnsCursor(std::string_view message, size_t at = 0) : message_(message), at_(at) {}

  bool ok() const { return ok_; }
  bool at_end() const { return at_ == message_.size(); }
  size_t at() const { return at_; }
  uint8_t take8();
  uint16_t take16();
  uint32_t take32();
  std::string_view take(size_t count);

  enum class Compression { refused, followed };
  // A name in lower-case presentation form, "." for the root. A pointer has to lead to an earlier place than every one
  // before it, which bounds the walk.
  std::string take_name(Compression compression);

 private:
  void fail() {
    ok_ = false;
    at_ = message_.size();
  }

  std::string_view message_;
  size_t at_;
  bool ok_ = true;
};

}  // namespace stockade::net
