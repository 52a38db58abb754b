#include "egress/content_guard.h"

#include <sodium.h>

#include <algorithm>
#include <array>

namespace stockade::egress {

namespace {

// RFC 9110, and what the model APIs and clouds use in its place.
constexpr std::array kCredentialFields = {"authorization",  "proxy-authorization", "cookie",       "x-api-key",
                                          "api-key",        "x-goog-api-key",      "x-auth-token", "private-token",
                                          "x-github-token", "x-amz-security-token"};

// A low one is a hint, for people who scan their own files; it stops no request.
bool stops(const inspect::Finding& finding) { return finding.severity >= inspect::Severity::medium; }

}  // namespace

Result<ContentGuard> ContentGuard::create() {
  inspect::EngineOptions options;
  STOCKADE_ASSIGN(options.rules, inspect::CompiledRules::builtin());
  ::randombytes_buf(options.key.data(), options.key.size());
  STOCKADE_ASSIGN(auto engine, inspect::Engine::create(std::move(options)));
  STOCKADE_ASSIGN(auto scanner, inspect::Scanner::create(std::move(engine)));
  return ContentGuard(std::move(scanner));
}

std::optional<inspect::Finding> ContentGuard::search(std::string_view place, std::string_view value) {
  if (value.empty()) return std::nullopt;
  auto findings = scanner_->scan_value(inspect::Direction::out, place, value);
  const auto worst = std::ranges::find_if(findings, stops);
  if (worst == findings.end()) return std::nullopt;
  return std::move(*worst);
}

std::optional<inspect::Finding> ContentGuard::search_head(const net::RequestHead& head) {
  if (auto found = search("path", head.path)) return found;
  if (head.query)
    if (auto found = search("query", *head.query)) return found;
  for (const net::HttpField& field : head.fields)
    if (auto found = search_field(field)) return found;
  return std::nullopt;
}

std::optional<inspect::Finding> ContentGuard::search_field(const net::HttpField& field) {
  const std::string name = net::lower_case(field.name);
  if (std::ranges::find(kCredentialFields, name) != kCredentialFields.end()) return std::nullopt;
  if (auto found = search("header name", field.name)) return found;
  return search("header:" + name, field.value);
}

BodyGuard::Outcome BodyGuard::feed(std::string_view content, bool end) {
  held_ += content;
  return let_go(stream_.feed(content, end));
}

BodyGuard::Outcome BodyGuard::pause() { return let_go(stream_.pause()); }

BodyGuard::Outcome BodyGuard::let_go(inspect::StreamScanner::Fed fed) {
  Outcome outcome;
  if (const auto worst = std::ranges::find_if(fed.findings, stops); worst != fed.findings.end())
    outcome.found = std::move(*worst);
  outcome.released = held_.substr(0, fed.release);
  held_.erase(0, fed.release);
  return outcome;
}

namespace {

class SecretFilter final : public BodyFilter {
 public:
  SecretFilter(ContentGuard& guard, bool stops) : guard_(guard), stops_(stops) {}

  Result<Passed> feed(std::string_view bytes, bool end) override {
    BodyGuard::Outcome outcome = guard_.feed(bytes, end);
    Passed passed;
    if (outcome.found) passed.findings.push_back(secret_finding(*outcome.found, stops_));
    passed.bytes = std::move(outcome.released);
    return passed;
  }
  size_t held() const override { return guard_.held(); }

 private:
  BodyGuard guard_;
  bool stops_;
};

}  // namespace

std::unique_ptr<BodyFilter> secret_filter(ContentGuard& guard, bool stops) {
  return std::make_unique<SecretFilter>(guard, stops);
}

std::string describe(const inspect::Finding& finding) {
  std::string text = fmt::format("a secret in its {}: {}", finding.place, finding.title);
  if (!finding.through.empty()) text += fmt::format(", encoded as {}", finding.through);
  return text;
}

ContentFinding secret_finding(const inspect::Finding& finding, bool stops) {
  ContentFinding out;
  out.reason = describe(finding);
  out.hint = "a person can let secrets pass with network.inspect: { secrets: log }";
  out.evidence = {{"pattern", finding.rule},
                  {"place", finding.place},
                  {"excerpt", finding.excerpt},
                  {"fingerprint", finding.fingerprint}};
  out.stops = stops;
  return out;
}

}  // namespace stockade::egress
