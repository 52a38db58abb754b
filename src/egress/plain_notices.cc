#include "egress/plain_notices.h"

#include <fmt/format.h>

#include "egress/refusals.h"

namespace stockade::egress {

namespace {

std::string joined(const std::vector<std::string>& values) {
  std::string text;
  for (const std::string& value : values) {
    if (text.size() > kEvidenceValueLimit) break;
    if (!text.empty()) text += ", ";
    text += value;
  }
  return text;
}

Notice make_session_notice(const Destination& to, std::string reason, std::string hint, std::string_view protocol) {
  Notice notice = make_notice(to, std::move(reason), std::move(hint));
  notice.kind = NoticeKind::session;
  if (!protocol.empty()) notice.evidence.emplace_back("protocol", protocol);
  return notice;
}

}  // namespace

Notice session_begins(const Destination& to, const net::StartupFacts& facts, bool inside_tls) {
  const std::string_view protocol = net::startup_protocol_name(facts.protocol);
  const bool turns = facts.tls == net::StartupTls::now;
  Notice notice = make_session_notice(to,
                                      fmt::format("{}{}", protocol,
                                                  turns        ? " goes on inside TLS"
                                                  : inside_tls ? " inside TLS"
                                                               : ""),
                                      "", protocol);
  notice.decision = NoticeDecision::allow;
  if (inside_tls) notice.evidence.emplace_back("tls", "opened");
  if (facts.own_encryption) notice.evidence.emplace_back("encryption", "its own: nothing in it is seen");
  const auto add = [&](const char* key, const std::string& value) {
    // The most telling come first; what has no place is left out.
    if (!value.empty() && notice.evidence.size() < kEvidenceEntries) notice.evidence.emplace_back(key, value);
  };
  add("user", facts.user);
  add("database", facts.database);
  add("recipients", joined(facts.recipients));
  add("senders", joined(facts.senders));
  add("host", facts.host);
  add("path", facts.path);
  add("request", facts.request);
  add("mechanism", facts.mechanism);
  add("application", facts.application);
  return notice;
}

Notice session_malformed(const Destination& to, std::string_view protocol, std::string reason) {
  std::string hint =
      protocol.empty() ? "a rule that names the protocol lets its TLS be opened; with tls: passthrough nothing is read"
                       : "where another protocol is spoken, its name as the rule's protocol says so; with "
                         "protocol: tcp and tls: passthrough nothing is read";
  return make_session_notice(to, std::move(reason), std::move(hint), protocol);
}

Notice session_tls_refused(const Destination& to, std::string reason, std::string hint) {
  return make_session_notice(to, std::move(reason), std::move(hint), "");
}

Notice session_secret(const Destination& to, std::string_view protocol, const inspect::Finding& found) {
  Notice notice = make_session_notice(to, describe(found),
                                      "a person can let secrets pass with network.inspect: { secrets: log }", protocol);
  notice.evidence.emplace_back("pattern", found.rule);
  notice.evidence.emplace_back("place", found.place);
  notice.evidence.emplace_back("excerpt", found.excerpt);
  notice.evidence.emplace_back("fingerprint", found.fingerprint);
  return notice;
}

}  // namespace stockade::egress
