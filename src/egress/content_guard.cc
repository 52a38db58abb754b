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

void ContentGuard::search(std::string_view place, std::string_view value, std::vector<inspect::Finding>& out) {
  if (value.empty()) return;
  for (inspect::Finding& finding : scanner_->scan_value(inspect::Direction::out, place, value))
    if (stops(finding)) out.push_back(std::move(finding));
}

std::vector<inspect::Finding> ContentGuard::search_head(const net::RequestHead& head) {
  std::vector<inspect::Finding> found;
  search("path", head.path, found);
  if (head.query) search("query", *head.query, found);
  for (const net::HttpField& field : head.fields) search_field(field, found);
  return found;
}

std::vector<inspect::Finding> ContentGuard::search_field(const net::HttpField& field) {
  std::vector<inspect::Finding> found;
  search_field(field, found);
  return found;
}

void ContentGuard::search_field(const net::HttpField& field, std::vector<inspect::Finding>& out) {
  const std::string name = net::lower_case(field.name);
  if (std::ranges::find(kCredentialFields, name) != kCredentialFields.end()) return;
  search("header name", field.name, out);
  search("header:" + name, field.value, out);
}

BodyGuard::Outcome BodyGuard::feed(std::string_view content, bool end) {
  held_ += content;
  return let_go(stream_.feed(content, end));
}

BodyGuard::Outcome BodyGuard::pause() { return let_go(stream_.pause()); }

BodyGuard::Outcome BodyGuard::let_go(inspect::StreamScanner::Fed fed) {
  Outcome outcome;
  for (inspect::Finding& finding : fed.findings)
    if (stops(finding)) outcome.found.push_back(std::move(finding));
  outcome.released = held_.substr(0, fed.release);
  held_.erase(0, fed.release);
  return outcome;
}

namespace {

class SecretFilter final : public BodyFilter {
 public:
  SecretFilter(ContentGuard& guard, policy::InspectionLevel level) : guard_(guard), level_(level) {}

  Result<Passed> feed(std::string_view bytes, bool end) override {
    BodyGuard::Outcome outcome = guard_.feed(bytes, end);
    Passed passed;
    passed.findings = secret_findings(outcome.found, level_);
    passed.bytes = std::move(outcome.released);
    return passed;
  }
  size_t held() const override { return guard_.held(); }

 private:
  BodyGuard guard_;
  policy::InspectionLevel level_;
};

}  // namespace

std::unique_ptr<BodyFilter> secret_filter(ContentGuard& guard, policy::InspectionLevel level) {
  return std::make_unique<SecretFilter>(guard, level);
}

std::string describe(const inspect::Finding& finding) {
  std::string text = fmt::format("a secret in its {}: {}", finding.place, finding.title);
  if (!finding.through.empty()) text += fmt::format(", encoded as {}", finding.through);
  return text;
}

ContentFinding secret_finding(const inspect::Finding& finding, policy::InspectionLevel level) {
  ContentFinding out;
  out.reason = describe(finding);
  out.hint = "a person can let secrets pass with network.inspect: { secrets: log }";
  out.evidence = {{"pattern", finding.rule},
                  {"place", finding.place},
                  {"excerpt", finding.excerpt},
                  {"fingerprint", finding.fingerprint}};
  out.stops = level != policy::InspectionLevel::log;
  out.asks = level == policy::InspectionLevel::ask;
  return out;
}

std::vector<ContentFinding> secret_findings(const std::vector<inspect::Finding>& found, policy::InspectionLevel level) {
  std::vector<ContentFinding> out;
  for (const inspect::Finding& finding : found) out.push_back(secret_finding(finding, level));
  return out;
}

}  // namespace stockade::egress
