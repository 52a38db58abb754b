#include "egress/name_table.h"

namespace stockade::egress {

namespace {

constexpr uint32_t kFirst4 = 0xC6120001;  // 198.18.0.1
const Cidr kRange4{IpAddress::v4(0xC6120000), 15};
// fd53:746f:636b:6164::/64 ("Stockad")
constexpr std::array<uint8_t, 8> kPrefix6 = {0xfd, 0x53, 0x74, 0x6f, 0x63, 0x6b, 0x61, 0x64};

std::array<uint8_t, 16> address6(uint32_t number) {
  std::array<uint8_t, 16> bytes{};
  std::copy(kPrefix6.begin(), kPrefix6.end(), bytes.begin());
  for (size_t i = 0; i < 4; ++i) bytes[12 + i] = static_cast<uint8_t>(number >> (24 - 8 * i));
  return bytes;
}

bool has_prefix6(const IpAddress& address) {
  return address.is_v6() && std::equal(kPrefix6.begin(), kPrefix6.end(), address.bytes().begin());
}

}  // namespace

NameTable::Synthetic NameTable::addresses_of(size_t index) {
  const auto number = static_cast<uint32_t>(index);
  return {IpAddress::v4(kFirst4 + number), IpAddress::v6(address6(number + 1))};
}

std::optional<NameTable::Synthetic> NameTable::bind(std::string_view name) {
  if (const auto found = index_.find(name); found != index_.end()) return addresses_of(found->second);
  if (names_.size() >= limit_ || bytes_ + name.size() > kNameBytes) return std::nullopt;
  bytes_ += name.size();
  names_.emplace_back(name);
  index_.emplace(names_.back(), names_.size() - 1);
  return addresses_of(names_.size() - 1);
}

std::optional<std::string_view> NameTable::name_of(const IpAddress& address) const {
  size_t index = names_.size();
  if (address.is_v4() && address.v4_bits() >= kFirst4) {
    index = address.v4_bits() - kFirst4;
  } else if (has_prefix6(address)) {
    const auto& bytes = address.bytes();
    uint64_t number = 0;
    for (size_t i = 8; i < 16; ++i) number = number << 8 | bytes[i];
    if (number == 0) return std::nullopt;
    index = number - 1;
  }
  if (index >= names_.size()) return std::nullopt;
  return names_[index];
}

bool NameTable::is_synthetic(const IpAddress& address) { return kRange4.contains(address) || has_prefix6(address); }

}  // namespace stockade::egress
