#include "egress/fetched_url_judge.h"

#include <fmt/format.h>

#include <algorithm>

#include "net/address_classes.h"
#include "policy/decision.h"

namespace stockade::egress {

namespace {

using net::FetchedUrl;
using net::FetchKind;
using net::UrlDestination;

constexpr size_t kNamedHosts = 4;

enum class Standing { allowed, unnamed, unreadable, forbidden, metadata };

struct Judged {
  Standing standing = Standing::allowed;
  std::string what;    // "10.0.0.5 is private-use (10.0.0.0/8, RFC 1918)"
  std::string target;  // "files.example:443"
  bool loopback = false;
};

uint16_t port_of(const UrlDestination& to) {
  if (to.port) return *to.port;
  if (to.scheme == "http" || to.scheme == "ws") return 80;
  return to.scheme == "ftp" ? 21 : 443;
}

bool allows(const policy::Verdict& verdict) {
  return verdict.action == policy::Action::allow || verdict.action == policy::Action::log;
}

Judged judge_address(const policy::Network& network, const UrlDestination& to) {
  const uint16_t port = port_of(to);
  Judged judged{Standing::allowed, {}, Endpoint{*to.address, port}.to_string(), false};
  if (allows(policy::judge_connect(network, *to.address, port))) return judged;
  const auto forbidden = net::forbidden_class(*to.address);
  judged.standing = !forbidden                            ? Standing::unnamed
                    : forbidden->name == "cloud metadata" ? Standing::metadata
                                                          : Standing::forbidden;
  judged.what = forbidden ? forbidden->reason(*to.address) : fmt::format("no rule names {}", judged.target);
  judged.loopback = forbidden && forbidden->name == "loopback";
  return judged;
}

Judged judge_name(const policy::Network& network, const UrlDestination& to) {
  const uint16_t port = port_of(to);
  const auto host = policy::canonical_host(to.host);
  if (!to.readable || !host) {
    const bool local = to.host.empty();
    return {Standing::unreadable,
            local ? fmt::format("\"{}:\" names no host", to.scheme) : "readers disagree about its host",
            local ? to.scheme + ":" : to.host.substr(0, 64), false};
  }
  Judged judged{Standing::allowed, {}, fmt::format("{}:{}", *host, port), false};
  if (allows(policy::judge_connect(network, *host, port))) return judged;
  const bool local = *host == "localhost" || host->ends_with(".localhost");
  judged.standing = net::is_metadata_name(*host) ? Standing::metadata : local ? Standing::forbidden : Standing::unnamed;
  judged.what = judged.standing == Standing::metadata ? fmt::format("{} is a cloud's metadata service", *host)
                : local                               ? fmt::format("{} is the server itself", *host)
                                                      : fmt::format("no rule allows {}", judged.target);
  judged.loopback = local;
  return judged;
}

// The strictest of its readings.
Judged judge_url(const policy::Network& network, const FetchedUrl& url) {
  Judged worst;
  for (const UrlDestination& to : url.destinations) {
    Judged judged = to.address ? judge_address(network, to) : judge_name(network, to);
    if (judged.standing > worst.standing) worst = std::move(judged);
  }
  return worst;
}

// The field's own name: "redirect_uris" of "json: redirect_uris[0]".
std::string_view field_of(std::string_view place) {
  while (place.ends_with(']')) place = place.substr(0, place.rfind('['));
  const auto at = place.find_last_of(". ");
  return at == std::string_view::npos ? place : place.substr(at + 1);
}

bool is_redirect(std::string_view place) {
  const auto field = field_of(place);
  return field == "redirect_uri" || field == "redirect_uris" || field == "post_logout_redirect_uri" ||
         field == "post_logout_redirect_uris";
}

// What the model called and what came back: Anthropic's tool_use, Gemini's functionCall and functionResponse. OpenAI's
// arguments are JSON in a string.
bool is_tool_content(const FetchedUrl& url) {
  const std::string_view place = url.place;
  return url.in_text || place.find(".input.") != std::string_view::npos ||
         place.find(".functionCall.args.") != std::string_view::npos ||
         place.find(".functionResponse.response.") != std::string_view::npos ||
         place.find(".function_call.args.") != std::string_view::npos ||
         place.find(".function_response.response.") != std::string_view::npos;
}

// Bare texts, and "//host", have no scheme.
bool is_bare(const FetchedUrl& url) {
  return std::ranges::all_of(url.destinations, [](const UrlDestination& to) { return to.scheme.empty(); });
}

bool must_stop(const FetchedUrl& url, const Judged& judged) {
  if (url.kind == FetchKind::certain) return true;
  if (judged.standing == Standing::metadata) return true;
  return judged.standing == Standing::forbidden && !is_bare(url);
}

bool passes(const FetchedUrl& url, const Judged& judged, bool conversation) {
  if (judged.standing == Standing::allowed) return true;
  if (conversation && (url.kind != FetchKind::certain || is_tool_content(url))) return true;
  return judged.loopback && is_redirect(url.place);
}

ContentFinding refusal(const FetchedUrl& url, Judged judged) {
  ContentFinding finding;
  finding.reason = fmt::format("the server would fetch a URL in it ({}): {}", url.place, judged.what);
  finding.hint = judged.standing == Standing::unreadable
                     ? "write the URL with a plain host and a / behind it"
                     : "what a server fetches is a destination: a person can allow it by a rule of network.allow";
  finding.evidence = {{"place", url.place}, {"fetches", judged.target}};
  return finding;
}

}  // namespace

std::vector<ContentFinding> judge_fetched_urls(const std::vector<FetchedUrl>& urls, const FetchedUrlContext& context) {
  std::vector<std::string> named;
  size_t count = 0;
  std::string_view place;
  for (const FetchedUrl& url : urls) {
    Judged judged = judge_url(context.network, url);
    if (passes(url, judged, context.conversation)) continue;
    if (context.stops && must_stop(url, judged)) return {refusal(url, std::move(judged))};
    if (count++ == 0) place = url.place;
    if (named.size() < kNamedHosts && std::ranges::find(named, judged.target) == named.end())
      named.push_back(judged.target);
  }
  if (count == 0) return {};
  ContentFinding finding;
  finding.reason = fmt::format("the server may fetch URLs in it that no rule allows: {}", fmt::join(named, ", "));
  finding.hint = "logged only: such a field need not be fetched";
  finding.evidence = {{"place", std::string(place)}, {"urls", std::to_string(count)}};
  finding.stops = false;
  std::vector<ContentFinding> findings;
  findings.push_back(std::move(finding));
  return findings;
}

}  // namespace stockade::egress
