#include "net/address_classes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

namespace stockade::net {

namespace {

struct Row {
  std::string_view range;
  std::string_view name;
  std::string_view source;
};

// Order does not matter: the longest matching prefix names the class.
constexpr Row kRows[] = {
    // IPv4 special-purpose registry.
    {"0.0.0.0/8", "this-network", "RFC 791"},
    {"10.0.0.0/8", "private-use", "RFC 1918"},
    {"100.64.0.0/10", "shared address space", "RFC 6598"},
    {"127.0.0.0/8", "loopback", "RFC 1122"},
    {"169.254.0.0/16", "link-local", "RFC 3927"},
    {"172.16.0.0/12", "private-use", "RFC 1918"},
    {"192.0.0.0/24", "IETF protocol assignments", "RFC 6890"},
    {"192.0.2.0/24", "documentation", "RFC 5737"},
    {"192.31.196.0/24", "AS112 sink", "RFC 7535"},
    {"192.52.193.0/24", "AMT anycast", "RFC 7450"},
    {"192.88.99.0/24", "6to4 relay anycast", "RFC 7526"},
    {"192.168.0.0/16", "private-use", "RFC 1918"},
    {"192.175.48.0/24", "AS112 sink", "RFC 7534"},
    {"198.18.0.0/15", "benchmarking", "RFC 2544"},
    {"198.51.100.0/24", "documentation", "RFC 5737"},
    {"203.0.113.0/24", "documentation", "RFC 5737"},
    {"224.0.0.0/4", "multicast", "RFC 5771"},
    {"240.0.0.0/4", "reserved", "RFC 1112"},
    {"255.255.255.255/32", "limited broadcast", "RFC 8190"},

    // Clouds' metadata, credential and wire servers.
    {"100.100.100.200/32", "cloud metadata", "Alibaba Cloud"},
    {"168.63.129.16/32", "cloud metadata", "Azure wire server"},
    {"169.254.0.23/32", "cloud metadata", "Tencent Cloud"},
    {"169.254.42.42/32", "cloud metadata", "Scaleway"},
    {"169.254.169.250/32", "cloud metadata", "Rancher"},
    {"169.254.169.254/32", "cloud metadata", "AWS, Azure, Google Cloud and others"},
    {"169.254.170.2/32", "cloud metadata", "AWS ECS task credentials"},
    {"169.254.170.23/32", "cloud metadata", "AWS EKS pod identity"},
    {"192.0.0.192/32", "cloud metadata", "Oracle Cloud classic"},
    {"fd00:42::42/128", "cloud metadata", "Scaleway"},
    {"fd00:ec2::/32", "cloud metadata", "AWS"},
    {"fd20:ce::254/128", "cloud metadata", "Google Cloud"},

    // IPv6 special-purpose registry, and what RFC 4291 reserves.
    {"::/128", "unspecified", "RFC 4291"},
    {"::1/128", "loopback", "RFC 4291"},
    {"::/96", "IPv4-compatible", "RFC 4291"},
    {"::ffff:0:0/96", "IPv4-mapped", "RFC 4291"},
    {"::ffff:0:0:0/96", "IPv4-translated", "RFC 2765"},
    {"64:ff9b:1::/48", "local-use NAT64", "RFC 8215"},
    {"100::/64", "discard-only", "RFC 6666"},
    {"100:0:0:1::/64", "dummy prefix", "RFC 9780"},
    {"2001::/23", "IETF protocol assignments", "RFC 2928"},
    {"2001::/32", "Teredo", "RFC 4380"},
    {"2001:1::1/128", "port control protocol anycast", "RFC 7723"},
    {"2001:1::2/128", "TURN anycast", "RFC 8155"},
    {"2001:1::3/128", "DNS-SD registration anycast", "RFC 9665"},
    {"2001:2::/48", "benchmarking", "RFC 5180"},
    {"2001:3::/32", "AMT anycast", "RFC 7450"},
    {"2001:4:112::/48", "AS112 sink", "RFC 7535"},
    {"2001:10::/28", "ORCHID", "RFC 4843"},
    {"2001:20::/28", "ORCHIDv2", "RFC 7343"},
    {"2001:30::/28", "drone remote identification", "RFC 9374"},
    {"2001:db8::/32", "documentation", "RFC 3849"},
    {"2002::/16", "6to4", "RFC 3056"},
    {"2620:4f:8000::/48", "AS112 sink", "RFC 7534"},
    {"3fff::/20", "documentation", "RFC 9637"},
    {"5f00::/16", "segment routing SIDs", "RFC 9602"},
    {"fc00::/7", "unique local", "RFC 4193"},
    {"fe80::/10", "link-local", "RFC 4291"},
    {"fec0::/10", "site-local", "RFC 3879"},
    {"ff00::/8", "multicast", "RFC 4291"},
};

struct Entry {
  Cidr cidr;
  const Row* row;
};

// Parsed once; a row that does not parse would silently allow, so it stops the program at its first use.
const std::array<Entry, std::size(kRows)>& entries() {
  static const auto table = [] {
    std::array<Entry, std::size(kRows)> made;
    for (size_t i = 0; i < std::size(kRows); ++i) made[i] = Entry{Cidr::parse(kRows[i].range).value(), &kRows[i]};
    return made;
  }();
  return table;
}

const Row* longest_match(const IpAddress& address) {
  const Row* best = nullptr;
  int best_prefix = -1;
  for (const Entry& entry : entries()) {
    if (entry.cidr.prefix > best_prefix && entry.cidr.contains(address)) {
      best = entry.row;
      best_prefix = entry.cidr.prefix;
    }
  }
  return best;
}

IpAddress ipv4_at(const IpAddress& address, size_t offset, uint8_t mask = 0) {
  uint32_t bits = 0;
  for (size_t i = 0; i < 4; ++i) bits = bits << 8 | static_cast<uint8_t>(address.bytes()[offset + i] ^ mask);
  return IpAddress::v4(bits);
}

bool starts_with(const IpAddress& address, std::initializer_list<int> bytes) {
  return std::equal(bytes.begin(), bytes.end(), address.bytes().begin());
}

// 2000::/3 is the only space from which IANA allocates global unicast; NAT64's well-known prefix lies outside of it.
bool is_allocated_unicast(const IpAddress& address) {
  if (address.is_v4()) return true;
  if ((address.bytes()[0] & 0xe0) == 0x20) return true;
  return starts_with(address, {0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0});
}

}  // namespace

std::string AddressClass::reason(const IpAddress& address) const {
  if (embedded && !range.empty() && range.find(':') == std::string_view::npos)
    return fmt::format("{} carries {}, which is {} ({}, {})", address.to_string(), embedded->to_string(), name, range,
                       source);
  return fmt::format("{} is {} ({}, {})", address.to_string(), name, range, source);
}

std::optional<IpAddress> embedded_ipv4(const IpAddress& address) {
  if (address.is_v4()) return std::nullopt;
  if (starts_with(address, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff})) return ipv4_at(address, 12);
  if (starts_with(address, {0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0})) return ipv4_at(address, 12);
  if (starts_with(address, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})) {
    const IpAddress inner = ipv4_at(address, 12);
    if (inner.v4_bits() > 1) return inner;  // :: and ::1 are not addresses of this form
    return std::nullopt;
  }
  if (starts_with(address, {0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0})) return ipv4_at(address, 12);
  // The local-use prefix is commonly a /96 of it; the address sits in the last 32 bits.
  if (starts_with(address, {0x00, 0x64, 0xff, 0x9b, 0x00, 0x01})) return ipv4_at(address, 12);
  if (starts_with(address, {0x20, 0x02})) return ipv4_at(address, 2);
  // Teredo: the client's address is in the last 32 bits, inverted.
  if (starts_with(address, {0x20, 0x01, 0, 0})) return ipv4_at(address, 12, 0xff);
  const auto& b = address.bytes();
  if ((b[8] & 0xfd) == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe) return ipv4_at(address, 12);  // ISATAP
  return std::nullopt;
}

std::optional<AddressClass> forbidden_class(const IpAddress& address) {
  const auto inner = embedded_ipv4(address);
  if (inner) {
    // The inner address explains more than the wrapping: say "carries 10.0.0.1" before "is 6to4".
    if (const Row* row = longest_match(*inner)) return AddressClass{row->name, row->range, row->source, inner};
  }
  if (const Row* row = longest_match(address)) return AddressClass{row->name, row->range, row->source, inner};
  if (!is_allocated_unicast(address)) return AddressClass{"unallocated", "outside 2000::/3", "RFC 4291", inner};
  return std::nullopt;
}

bool is_metadata_name(std::string_view host) {
  static constexpr std::string_view kNames[] = {
      "metadata",
      "metadata.google.internal",
      "metadata.goog",
      "metadata.tencentyun.com",
      "metadata.azure.com",
      "metadata.azure.internal",
      "instance-data",
      "instance-data.ec2.internal",
      "metadata.packet.net",
      "metadata.platformequinix.com",
      "rancher-metadata",
  };
  return std::find(std::begin(kNames), std::end(kNames), host) != std::end(kNames);
}

}  // namespace stockade::net
