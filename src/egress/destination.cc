#include "egress/destination.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "net/address_classes.h"

namespace stockade::egress {

namespace {

constexpr size_t kWildcardPart = 64;
constexpr size_t kWildcardLabel = 40;
// UUIDs (36 hex digits, up to 3.9 bits) pass; 24 or more characters of base32 or base64 do not.
constexpr size_t kEntropyFrom = 24;
constexpr double kEntropyBits = 3.95;

bool names_alone(const Cidr& cidr, const IpAddress& address) {
  return cidr.prefix == (address.is_v4() ? 32 : 128) && cidr.address == address;
}

// True if one of the rule's prefixes holds the address and satisfies `narrow_enough`.
template <typename Predicate>
bool rule_names(const policy::NetworkRule& rule, const IpAddress& address, Predicate narrow_enough) {
  if (rule.address && rule.address->contains(address) && narrow_enough(*rule.address)) return true;
  for (const Cidr& cidr : rule.addresses)
    if (cidr.contains(address) && narrow_enough(cidr)) return true;
  return false;
}

}  // namespace

std::optional<std::string> forbidden_destination(const policy::NetworkRule& rule, const IpAddress& address,
                                                 const HostView& host) {
  const bool alone = rule_names(rule, address, [&](const Cidr& cidr) { return names_alone(cidr, address); });
  if (alone) return std::nullopt;
  if (host.own.contains(address)) return fmt::format("{} is an address of this host", address.to_string());
  if (host.gateways.contains(address)) return fmt::format("{} is this host's gateway", address.to_string());
  const auto special = net::forbidden_class(address);
  if (!special) return std::nullopt;
  if (special->embedded && (host.own.contains(*special->embedded) || host.gateways.contains(*special->embedded)))
    return fmt::format("{} carries {}, an address of this host or its gateway", address.to_string(),
                       special->embedded->to_string());
  const auto range = Cidr::parse(special->range);
  const bool named = !special->embedded && range && rule_names(rule, address, [&](const Cidr& cidr) {
    return range->contains(cidr.address) && cidr.prefix >= range->prefix;
  });
  if (named) return std::nullopt;
  return special->reason(address);
}

double entropy(std::string_view text) {
  std::array<unsigned, 256> counts{};
  for (const char c : text) ++counts[static_cast<unsigned char>(c)];
  double bits = 0;
  for (const unsigned count : counts) {
    if (count == 0) continue;
    const double share = static_cast<double>(count) / static_cast<double>(text.size());
    bits -= share * std::log2(share);
  }
  return bits;
}

std::optional<std::string> suspicious_wildcard_name(std::string_view pattern, std::string_view host) {
  if (!pattern.starts_with("*.")) return std::nullopt;
  const size_t suffix = pattern.size() - 1;  // ".example.com"
  if (host.size() <= suffix) return std::nullopt;
  std::string_view part = host.substr(0, host.size() - suffix);
  if (part.size() > kWildcardPart)
    return fmt::format("{} bytes stand before {}, more than {}", part.size(), pattern.substr(1), kWildcardPart);
  std::string joined;
  while (!part.empty()) {
    const std::string_view label = part.substr(0, part.find('.'));
    if (label.size() > kWildcardLabel)
      return fmt::format("a label of {} bytes under {}, more than {}", label.size(), pattern, kWildcardLabel);
    joined += label;
    part.remove_prefix(std::min(label.size() + 1, part.size()));
  }
  if (joined.size() >= kEntropyFrom && entropy(joined) > kEntropyBits)
    return fmt::format("what stands before {} looks like encoded data", pattern.substr(1));
  return std::nullopt;
}

}  // namespace stockade::egress
