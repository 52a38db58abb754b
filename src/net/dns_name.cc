#include "net/dns_name.h"

#include <fmt/format.h>

#include "net/dns.h"

namespace stockade::net {

namespace {

void append_label(std::string& name, std::string_view label) {
  if (!name.empty()) name.push_back('.');
  for (char c : label) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte >= 'A' && byte <= 'Z') {
      name.push_back(static_cast<char>(byte - 'A' + 'a'));
    } else if (byte == '.' || byte == '\\') {
      name.push_back('\\');
      name.push_back(c);
    } else if (byte > 0x20 && byte < 0x7f) {
      name.push_back(c);
    } else {
      fmt::format_to(std::back_inserter(name), "\\{:03}", byte);
    }
  }
}

}  // namespace

uint8_t DnsCursor::take8() {
  const auto bytes = take(1);
  return bytes.empty() ? 0 : static_cast<uint8_t>(bytes[0]);
}

uint16_t DnsCursor::take16() {
  const uint8_t high = take8();
  return static_cast<uint16_t>(high << 8 | take8());
}

uint32_t DnsCursor::take32() {
  const uint32_t high = take16();
  return high << 16 | take16();
}

std::string_view DnsCursor::take(size_t count) {
  if (!ok_ || message_.size() - at_ < count) {
    fail();
    return {};
  }
  const auto bytes = message_.substr(at_, count);
  at_ += count;
  return bytes;
}

std::string DnsCursor::take_name(Compression compression) {
  std::string name;
  size_t place = at_;   // where the walk is; at_ follows only until the first pointer
  size_t lowest = at_;  // a pointer must lead before this
  size_t wire_size = 0;
  bool jumped = false;
  while (ok_ && place < message_.size()) {
    const auto lead = static_cast<uint8_t>(message_[place]);
    if (lead == 0) {
      if (!jumped) at_ = place + 1;
      return name.empty() ? "." : name;
    }
    if ((lead & 0xc0) == 0xc0) {
      if (compression == Compression::refused || place + 1 >= message_.size()) break;
      const size_t target = static_cast<size_t>(lead & 0x3f) << 8 | static_cast<uint8_t>(message_[place + 1]);
      if (!jumped) at_ = place + 2;
      jumped = true;
      if (target >= lowest || target < kDnsHeaderSize) break;
      lowest = place = target;
      continue;
    }
    if ((lead & 0xc0) != 0) break;
#ifdef STOCKADE_PLANTED_BUG
    // Trusts a label's length when the name is already long.
    if (wire_size > 24) {
      append_label(name, std::string_view(message_.data() + place + 1, lead));
      if (place + 1 + lead > message_.size()) break;
      wire_size += lead + 1u;
      place += lead + 1u;
      continue;
    }
#endif
    if (message_.size() - place - 1 < lead) break;
    wire_size += lead + 1u;
    if (wire_size + 1 > kDnsNameLimit) break;
    append_label(name, message_.substr(place + 1, lead));
    place += lead + 1u;
  }
  fail();
  return {};
}

}  // namespace stockade::net
