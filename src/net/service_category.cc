#include "net/service_category.h"

#include <algorithm>
#include <array>

namespace stockade::net {

std::string_view service_category_name(ServiceCategory category) {
  static constexpr std::array<std::string_view, 7> kNames = {
      "paste", "tunnel", "webhook_catcher", "file_drop", "url_shortener", "dns_over_https", "dynamic_dns"};
  return kNames[static_cast<size_t>(category)];
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

}  // namespace stockade::net
