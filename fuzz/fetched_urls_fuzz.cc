// URLs that a request has fetched, and requests that hide in one. Whatever stands around it, a URL to an address in a
// field that an API fetches is found, and so is an image in a text; a URL's destinations contain the host that it was
// written with; time stays linear.
// covers: src/net/fetched_urls.cc src/net/embedded_urls.cc src/net/url_destination.cc src/net/method_override.cc
// covers: src/net/form_fields.cc
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "net/fetched_urls.h"
#include "net/method_override.h"

namespace {

using namespace stockade;
using namespace stockade::net;

void require(bool condition) {
  if (!condition) std::abort();
}

RequestHead head_of(std::string_view type) {
  RequestHead head;
  head.method = "POST";
  head.path = "/x";
  head.fields.push_back({"Content-Type", std::string(type)});
  return head;
}

bool leads_to(const Result<std::vector<FetchedUrl>>& urls, std::string_view host, FetchKind kind) {
  return std::any_of(urls->begin(), urls->end(), [&](const FetchedUrl& url) {
    return url.kind == kind && std::any_of(url.destinations.begin(), url.destinations.end(),
                                           [&](const UrlDestination& to) { return to.host == host; });
  });
}

void fuzz_url(std::string_view bytes) {
  for (const auto& to : url_destinations(std::string(bytes))) {
    require(!to.address || to.host == to.address->to_string());
    if (to.readable && !to.host.empty() && !to.address) require(to.host.find_first_of("/@:# ") == std::string::npos);
  }
  (void)bare_destination(std::string(bytes));
  // Behind the host nothing can hide it.
  const auto behind = url_destinations("http://169.254.169.254/" + std::string(bytes));
  require(std::any_of(behind.begin(), behind.end(), [](const auto& to) { return to.host == "169.254.169.254"; }));
}

void fuzz_json(std::string_view bytes) {
  const auto head = head_of("application/json");
  (void)find_fetched_urls(head, bytes);
  (void)find_hidden_requests(head, bytes);
  const std::string text =
      nlohmann::json(std::string(bytes)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  const std::string body = "{\"x\":" + text + ",\"image_url\":{\"url\":\"http://0x7f.1/\"},\"y\":[" + text + "]}";
  const auto urls = find_fetched_urls(head, body);
  require(!urls || leads_to(urls, "127.0.0.1", FetchKind::certain));
  const std::string batch = "{\"x\":" + text + ",\"requests\":[{\"method\":\"GET\",\"url\":\"/a\"}]}";
  const auto hidden = find_hidden_requests(head, batch);
  require(hidden && hidden->requests.size() == 1);
}

void fuzz_text(std::string_view bytes) {
  (void)find_embedded_urls(std::string(bytes));
  // In front of everything: nothing that follows hides an image.
  const auto urls = find_embedded_urls("<img src=\"http://0x7f.1/\">\n" + std::string(bytes));
  require(!urls || leads_to(urls, "127.0.0.1", FetchKind::embedded));
}

void fuzz_bodies(uint8_t mode, std::string_view bytes) {
  static constexpr std::string_view kTypes[] = {"application/x-www-form-urlencoded",
                                                "multipart/form-data; boundary=b",
                                                "multipart/mixed; boundary=b",
                                                "text/html",
                                                "application/xml",
                                                "text/uri-list"};
  auto head = head_of(kTypes[mode % std::size(kTypes)]);
  const std::string exact(bytes);
  (void)find_fetched_urls(head, exact);
  (void)find_hidden_requests(head, exact);
  head.query = exact;
  (void)find_fetched_urls(head, "");
  const auto overrides = find_overrides(head);
  if (!overrides) return;
  head.query = exact + "&_Method=DELETE";
  const auto more = find_overrides(head);
  require(!more ||
          std::any_of(more->begin(), more->end(), [](const Override& found) { return found.value == "DELETE"; }));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0:
      fuzz_url(bytes);
      break;
    case 1:
      fuzz_json(bytes);
      break;
    case 2:
      fuzz_text(bytes);
      break;
    default:
      fuzz_bodies(static_cast<uint8_t>(data[0] >> 2), bytes);
      break;
  }
  return 0;
}
