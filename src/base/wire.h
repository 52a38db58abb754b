// A bounded binary codec for the messages between our own processes. Integers are little-endian, strings carry a
// 32-bit length. A Reader never reads past its bytes: after the first failed read everything else is zero and ok() is
// false, so a decoder checks once, at the end (finished(): ok and nothing left over).
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

namespace stockade {

class WireWriter {
 public:
  template <typename T>
    requires std::is_integral_v<T> || std::is_enum_v<T>
  WireWriter& put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
    return *this;
  }
  WireWriter& put(std::string_view text) {
    put(static_cast<uint32_t>(text.size()));
    bytes_.append(text);
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : rest_(bytes) {}

  template <typename T>
    requires std::is_integral_v<T>
  T get() {
    T value{};
    if (rest_.size() < sizeof(T)) {
      ok_ = false;
      rest_ = {};
      return value;
    }
    std::memcpy(&value, rest_.data(), sizeof(T));
    rest_.remove_prefix(sizeof(T));
    return value;
  }
  // An enum whose largest valid value is `last`.
  template <typename E>
    requires std::is_enum_v<E>
  E get_enum(E last) {
    using U = std::underlying_type_t<E>;
    const U value = get<U>();
    if (value > static_cast<U>(last)) ok_ = false;
    return ok_ ? static_cast<E>(value) : E{};
  }
  std::string get_string(size_t limit) {
    const auto size = get<uint32_t>();
    if (!ok_ || size > limit || size > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    std::string text(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return text;
  }
  bool ok() const { return ok_; }
  bool finished() const { return ok_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace stockade
