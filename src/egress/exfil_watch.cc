#include "egress/exfil_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <ranges>

#include "policy/decision.h"

namespace stockade::egress {

namespace {

constexpr size_t kToldReasons = 3;

const policy::NetworkRule* wildcard_of(const policy::Network& network, const Destination& to) {
  if (to.rule < 0 || to.host.empty()) return nullptr;
  const policy::NetworkRule& rule = network.allow[static_cast<size_t>(to.rule)];
  return rule.host.starts_with("*.") && policy::host_matches(rule.host, to.host) ? &rule : nullptr;
}

std::string counted_as(const policy::Network& network, const Destination& to) {
  const policy::NetworkRule* wildcard = wildcard_of(network, to);
  return wildcard ? wildcard->host : to.subject();
}

// The labels that the wildcard left open, before the path.
std::string carriers(const policy::Network& network, const Destination& to, std::string_view path) {
  const policy::NetworkRule* wildcard = wildcard_of(network, to);
  if (!wildcard) return std::string(path);
  std::string labels = to.host.substr(0, to.host.size() - (wildcard->host.size() - 1));
  std::ranges::replace(labels, '.', '/');
  return fmt::format("/{}{}", labels, path);
}

uint64_t size_of(const net::RequestHead& head) {
  uint64_t size = head.method.size() + head.target.size();
  for (const net::HttpField& field : head.fields) size += field.name.size() + field.value.size();
  return size;
}

}  // namespace

ExfilWatch::ExfilWatch(const policy::Network& network, uint64_t seed)
    : network_(network), level_(policy::exfiltration_level(network)), statistics_(seed) {}

std::optional<ContentFinding> ExfilWatch::on_request(const Destination& to, const net::RequestHead& head,
                                                     TimePoint now) {
  if (level_ == policy::InspectionLevel::off) return std::nullopt;
  const std::string host = counted_as(network_, to);
  const std::string path = carriers(network_, to, head.path);
  net::OutboundRequest request{.host = host, .path = path, .query = {}, .bytes = size_of(head)};
  if (head.query) request.query = *head.query;
  return judge(host, statistics_.add_request(request, now), now);
}

std::optional<ContentFinding> ExfilWatch::on_body(const Destination& to, uint64_t bytes, TimePoint now) {
  if (level_ == policy::InspectionLevel::off || bytes == 0) return std::nullopt;
  const std::string host = counted_as(network_, to);
  return judge(host, statistics_.add_body(host, bytes, now), now);
}

void ExfilWatch::on_answer(const Destination& to, int status, TimePoint now) {
  if (level_ != policy::InspectionLevel::off) statistics_.add_answer(counted_as(network_, to), status, now);
}

std::optional<ContentFinding> ExfilWatch::judge(const std::string& host, const net::ExfilScore& score, TimePoint now) {
  if (score.score < kExfilSuspicion) return std::nullopt;
  const bool stops = level_ == policy::InspectionLevel::deny;
  if (!stops) {
    if (told_.size() > net::kExfilHostLimit)
      std::erase_if(told_, [now](const auto& told) { return now - told.second >= net::kExfilWindow; });
    const auto [told, first] = told_.try_emplace(host, now);
    if (!first && now - told->second < net::kExfilWindow) return std::nullopt;
    told->second = now;
  }
  std::string signs, texts;
  for (const net::ExfilReason& reason : score.reasons | std::views::take(kToldReasons)) {
    signs += fmt::format("{}{}", signs.empty() ? "" : " ", net::exfil_sign_name(reason.sign));
    texts += fmt::format("{}{}", texts.empty() ? "" : "; ", reason.text);
  }
  ContentFinding finding;
  finding.reason = fmt::format("what leaves to {} looks like exfiltration: {}", host, texts);
  finding.hint = stops ? "a person can let it pass with network.inspect: { exfiltration: log }" : "logged only";
  finding.evidence = {{"score", fmt::format("{:.2f}", score.score)}, {"signs", signs}};
  finding.stops = stops;
  return finding;
}

}  // namespace stockade::egress
