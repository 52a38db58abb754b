// Which destinations are forbidden unless a policy names them: IANA's IPv4 and IPv6 special-purpose address registries
// (RFC 6890 and its updates, as of 2024), multicast, everything outside the allocated unicast space, and the addresses
// at which clouds serve metadata and credentials. An IPv6 address that carries an IPv4 one (IPv4-mapped and
// -compatible, NAT64 of RFC 6052 and RFC 8215, 6to4, Teredo, ISATAP) is judged by the inner address as well.
//
// The host's own addresses and gateways are not known here; the dialer adds them. Pure functions, any thread.
// Sources: iana.org/assignments/iana-ipv4-special-registry, iana-ipv6-special-registry, ipv6-address-space.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/ip_address.h"

namespace stockade::net {

struct AddressClass {
  std::string_view name;              // "private-use"
  std::string_view range;             // "10.0.0.0/8"
  std::string_view source;            // "RFC 1918"
  std::optional<IpAddress> embedded;  // the IPv4 address inside, where the IPv6 form carries one

  // "10.1.2.3 is private-use (10.0.0.0/8, RFC 1918)"
  std::string reason(const IpAddress& address) const;
};

// The class that forbids `address`, the most specific one; none for an ordinary public address.
std::optional<AddressClass> forbidden_class(const IpAddress& address);

// The IPv4 address that an IPv6 address carries in one of its known forms.
std::optional<IpAddress> embedded_ipv4(const IpAddress& address);

// Names that clouds answer with their metadata service ("metadata.google.internal"); `host` in lower case, without a
// trailing dot.
bool is_metadata_name(std::string_view host);

}  // namespace stockade::net
