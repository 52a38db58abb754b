#include "policy/service_category.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <string>

namespace stockade::policy {
namespace {

TEST(ServiceCategory, HoldsTheListAsItIsWritten) {
  std::ifstream file(STOCKADE_SOURCE_DIR "/rules/services.yaml");
  ASSERT_TRUE(file);
  std::map<std::string, std::string> written;
  std::string category;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("  - ")) written[line.substr(4)] = category;
    if (!line.empty() && line[0] >= 'a' && line[0] <= 'z') category = line.substr(0, line.find(':'));
  }
  EXPECT_GE(written.size(), 250u);
  ASSERT_EQ(services().size(), written.size());
  for (const Service& service : services())
    EXPECT_EQ(written[std::string(service.host)], service_category_name(service.category)) << service.host;
}

TEST(ServiceCategory, IsSorted) {
  EXPECT_TRUE(std::is_sorted(services().begin(), services().end(),
                             [](const Service& a, const Service& b) { return a.host < b.host; }));
}

TEST(ServiceCategory, FindsAHostAndItsSubdomainsOnly) {
  EXPECT_EQ(service_category("pastebin.com"), ServiceCategory::paste);
  EXPECT_EQ(service_category("a.b.ngrok.io"), ServiceCategory::tunnel);
  EXPECT_EQ(service_category("webhook.site"), ServiceCategory::webhook_catcher);
  EXPECT_EQ(service_category("transfer.sh"), ServiceCategory::file_drop);
  EXPECT_EQ(service_category("bit.ly"), ServiceCategory::url_shortener);
  EXPECT_EQ(service_category("mozilla.cloudflare-dns.com"), ServiceCategory::dns_over_https);
  EXPECT_EQ(service_category("x.duckdns.org"), ServiceCategory::dynamic_dns);
  for (const Service& service : services()) {
    EXPECT_EQ(service_category(service.host), service.category);
    EXPECT_EQ(service_category("x." + std::string(service.host)), service.category);
  }
  for (const char* host : {"example.com", "notpastebin.com", "pastebin.com.example.com", "com", "io", "", ".",
                           "github.com", "api.anthropic.com", "registry.npmjs.org", "pypi.org", "google.com"})
    EXPECT_EQ(service_category(host), std::nullopt) << host;
}

}  // namespace
}  // namespace stockade::policy
