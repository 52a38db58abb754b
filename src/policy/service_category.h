// Services by which data leaves without an account or a destination hides: rules/services.yaml as a constant. A host
// counts with all its subdomains. The list is a beginning, not a boundary: an allowlist is. Pure, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace stockade::policy {

enum class ServiceCategory : uint8_t {
  paste,
  tunnel,
  webhook_catcher,
  file_drop,
  url_shortener,
  dns_over_https,
  dynamic_dns
};
std::string_view service_category_name(ServiceCategory category);
// What it is to whoever allows it: "a paste service: what is sent there, anybody can read".
std::string_view service_category_meaning(ServiceCategory category);

struct Service {
  std::string_view host;
  ServiceCategory category;
};
std::span<const Service> services();  // sorted by host

// `host` in lower case, without a trailing dot. The longest entry that fits decides.
std::optional<ServiceCategory> service_category(std::string_view host);
// The first entry that a host pattern ("*.example.com") would let through, or lies under.
std::optional<Service> service_within(std::string_view pattern);

}  // namespace stockade::policy
