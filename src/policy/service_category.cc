#include "policy/service_category.h"

#include <algorithm>
#include <array>

#include "policy/decision.h"

namespace stockade::policy {

std::string_view service_category_name(ServiceCategory category) {
  static constexpr std::array<std::string_view, 7> kNames = {
      "paste", "tunnel", "webhook_catcher", "file_drop", "url_shortener", "dns_over_https", "dynamic_dns"};
  return kNames[static_cast<size_t>(category)];
}

std::string_view service_category_meaning(ServiceCategory category) {
  static constexpr std::array<std::string_view, 7> kMeanings = {
      "a paste service: anybody can read what is sent there",
      "a tunnel: it leads to a machine that nobody named",
      "a webhook catcher: whoever made the address reads what is sent there",
      "a file drop: anybody with the link reads what is sent there",
      "a URL shortener: it leads to places that nobody named",
      "DNS over HTTPS: each name that is asked for carries data out",
      "a dynamic DNS service: anybody can have a host there"};
  return kMeanings[static_cast<size_t>(category)];
}

std::optional<Service> service_within(std::string_view pattern) {
  const bool wildcard = pattern.starts_with("*.");
  const std::string_view name = wildcard ? pattern.substr(2) : pattern;
  if (const auto category = service_category(name)) return Service{name, *category};
  if (!wildcard) return std::nullopt;
  for (const Service& service : services())
    if (host_matches(pattern, service.host)) return service;
  return std::nullopt;
}

std::optional<ServiceCategory> service_category(std::string_view host) {
  const auto all = services();
  while (host.find('.') != std::string_view::npos) {
    const auto found =
        std::lower_bound(all.begin(), all.end(), host,
                         [](const Service& service, std::string_view name) { return service.host < name; });
    if (found != all.end() && found->host == host) return found->category;
    host.remove_prefix(host.find('.') + 1);
  }
  return std::nullopt;
}

}  // namespace stockade::policy
