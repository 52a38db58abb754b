// IPv4 and IPv6 addresses and prefixes as values. parse() takes the canonical spellings of inet_pton(3) only; other
// spellings (octal, hex, short forms) are the business of whoever judges names.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace stockade {

class IpAddress {
 public:
  IpAddress() = default;  // 0.0.0.0
  static std::optional<IpAddress> parse(std::string_view text);
  static IpAddress v4(uint32_t host_order);
  static IpAddress v6(const std::array<uint8_t, 16>& bytes);
  static std::optional<IpAddress> from_sockaddr(const sockaddr_storage& address);

  bool is_v4() const { return v4_; }
  bool is_v6() const { return !v4_; }
  uint32_t v4_bits() const;                                        // host order; only for is_v4()
  const std::array<uint8_t, 16>& bytes() const { return bytes_; }  // v4: the first four
  std::string to_string() const;
  auto operator<=>(const IpAddress&) const = default;

 private:
  std::array<uint8_t, 16> bytes_{};
  bool v4_ = true;
};

struct Cidr {
  IpAddress address;
  int prefix = 0;

  static std::optional<Cidr> parse(std::string_view text);  // "10.0.0.0/8", "192.0.2.1" (a /32 or /128)
  bool contains(const IpAddress& candidate) const;          // false across families
  std::string to_string() const;
  bool operator==(const Cidr&) const = default;
};

struct Endpoint {
  IpAddress address;
  uint16_t port = 0;

  static std::optional<Endpoint> from_sockaddr(const sockaddr_storage& address);
  static std::optional<Endpoint> parse(std::string_view text);  // "1.2.3.4:53", "[::1]:53"
  socklen_t to_sockaddr(sockaddr_storage& out) const;
  std::string to_string() const;
  auto operator<=>(const Endpoint&) const = default;
};

}  // namespace stockade
