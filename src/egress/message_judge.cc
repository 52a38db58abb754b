#include "egress/message_judge.h"

#include "egress/injection_filter.h"

namespace stockade::egress {

std::vector<ContentFinding> MessageJudge::judge(std::string_view message, bool text) {
  const size_t context = joined_.size();
  joined_ += message;
  std::vector<ContentFinding> findings;
  if (means_.secrets) find_secrets(context, findings);
  if (means_.injection) find_orders(text, findings);
  if (joined_.size() > kMessageContext) joined_.erase(0, joined_.size() - kMessageContext);
  if (joined_.capacity() > 2 * kMessageContext) joined_.shrink_to_fit();
  return findings;
}

void MessageJudge::find_secrets(size_t context, std::vector<ContentFinding>& findings) {
  inspect::Scanner& scanner = means_.secrets->scanner();
  for (const inspect::Match& match : scanner.scan(inspect::Direction::out, joined_)) {
    const bool told_before = match.end <= context && match.rule != inspect::Match::kBudget;
    if (told_before || match.severity < inspect::Severity::medium) continue;
    findings.push_back(secret_finding(scanner.to_finding(match, inspect::Direction::out, "message", 0),
                                      means_.secrets_level));
  }
}

void MessageJudge::find_orders(bool text, std::vector<ContentFinding>& findings) {
  InjectionOptions options;
  options.may_be_binary = !text;
  options.stops = means_.stops_injection;
  auto passed = injection_filter(*means_.injection, options)->feed(joined_, true);
  if (passed)
    for (ContentFinding& finding : passed->findings) findings.push_back(std::move(finding));
}

}  // namespace stockade::egress
