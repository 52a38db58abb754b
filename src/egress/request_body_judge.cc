#include "egress/request_body_judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "egress/fetched_url_judge.h"
#include "egress/http_judge.h"
#include "egress/request_limits.h"
#include "model/recognise.h"
#include "net/form_fields.h"
#include "net/json_outline.h"
#include "net/path.h"
#include "policy/decision.h"

namespace stockade::egress {

namespace {

using policy::InspectionLevel;

// How a body is read. `unsure`: its type says nothing, and JSON is taken for JSON.
enum class Reading { none, json, unsure, form, graphql };

ContentFinding unreadable(const Error& why, bool stops) {
  ContentFinding finding;
  finding.reason = fmt::format("it can't be read: {}", why.message());
  finding.hint = "what readers could see differently can't be judged";
  finding.stops = stops;
  return finding;
}

bool fetches_are_judged(const policy::Network& network) {
  return policy::fetched_urls_level(network) != InspectionLevel::off;
}

bool fetches_are_refused(const policy::Network& network) {
  return policy::fetched_urls_level(network) == InspectionLevel::deny;
}

Reading reading_of(const net::RequestHead& head, bool limited) {
  const net::HttpField* field = net::find_field(head.fields, "content-type");
  const auto type = net::parse_media_type(field ? field->value : "");
  if (!type) return limited ? Reading::form : Reading::unsure;
  if (type->is_json()) return Reading::json;
  if (type->type == "application/x-www-form-urlencoded" || type->type == "multipart/form-data") return Reading::form;
  if (type->type == "multipart/mixed") return limited ? Reading::form : Reading::none;
  const bool vague = type->type.empty() || type->type == "text/plain" || type->type == "application/octet-stream";
  return vague ? Reading::unsure : Reading::none;
}

class RequestBodyJudge final : public BodyFilter {
 public:
  RequestBodyJudge(const policy::Network& network, net::RequestHead head, GraphqlLimits limits, bool limited,
                   Reading reading)
      : network_(network), head_(std::move(head)), limits_(std::move(limits)), limited_(limited), reading_(reading) {}

  Result<Passed> feed(std::string_view bytes, bool end) override {
    Passed passed;
    if (reading_ == Reading::unsure) settle(bytes, end);
    collect(bytes, passed.findings);
    if (end && reading_ != Reading::none) judge(passed.findings);
    if (std::ranges::any_of(passed.findings, &ContentFinding::stops)) return passed;
    held_ += bytes;
    release(end, passed.bytes);
    return passed;
  }

  size_t held() const override { return held_.capacity() + text_.capacity() + outline_.text().capacity(); }

 private:
  // By its first character that is no space.
  void settle(std::string_view bytes, bool end) {
    const auto first = bytes.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos && !end) return;
    const bool json = first != std::string_view::npos && (bytes[first] == '{' || bytes[first] == '[');
    reading_ = json ? Reading::json : Reading::none;
    if (!json) return;
    guessed_ = true;
    std::erase_if(head_.fields,
                  [](const net::HttpField& field) { return net::equals_ignoring_case(field.name, "content-type"); });
    head_.fields.push_back({"content-type", "application/json"});
  }

  void collect(std::string_view bytes, std::vector<ContentFinding>& findings) {
    if (reading_ == Reading::none || reading_ == Reading::unsure) return;
    Result<void> taken;
    if (reading_ == Reading::json) {
      taken = outline_.feed(bytes);
    } else {
      text_ += bytes;
      const size_t most = reading_ == Reading::graphql ? net::kGraphqlBodyLimit : kJudgedBytes;
      if (text_.size() > most) taken = fail(ErrorKind::limit, "a body longer than {} MiB", most >> 20);
    }
    if (taken) return;
    findings.push_back(unreadable(taken.error(), is_limited()));
    reading_ = Reading::none;
    outline_.clear();
    text_ = std::string();
  }

  // Nothing to be judged, or no more: all of it goes.
  void release(bool end, std::string& out) {
    const size_t keep = end || reading_ == Reading::none       ? 0
                        : held_.size() > kHeldWhole || longer_ ? kHeldTail
                                                               : kHeldWhole;
    if (held_.size() <= keep) return;
    longer_ = true;
    // What stays is a buffer of its own: the large one goes with what leaves.
    out = std::move(held_);
    held_ = out.substr(out.size() - keep);
    out.resize(out.size() - keep);
  }

  bool is_limited() const { return limited_ || !limits_.empty(); }

  void judge(std::vector<ContentFinding>& findings) {
    const std::string& text = reading_ == Reading::json ? outline_.text() : text_;
    if (limited_) judge_hidden(text, findings);
    if (!limits_.empty()) judge_operations(text, findings);
    if (fetches_are_judged(network_)) judge_fetches(text, findings);
  }

  void judge_hidden(const std::string& text, std::vector<ContentFinding>& findings) {
    const auto hidden = net::find_hidden_requests(head_, text);
    if (!hidden)
      findings.push_back(unreadable(hidden.error(), true));
    else if (auto found = judge_hidden_requests(*hidden))
      findings.push_back(std::move(*found));
  }

  void judge_operations(const std::string& text, std::vector<ContentFinding>& findings) {
    net::GraphqlHttp request{head_.method, {}, {}, text};
    if (head_.query) request.query = *head_.query;
    const net::HttpField* type = net::find_field(head_.fields, "content-type");
    if (type) request.content_type = type->value;
    if (auto found = judge_graphql(limits_, request)) findings.push_back(std::move(*found));
  }

  bool speaks_to_model(const std::string& text) const {
    const auto path = net::normalise_path(head_.path);
    return model::recognise({head_.method, path ? *path : head_.path, {}, text}).api != model::Api::none;
  }

  // JSON that is none is made by nobody in good faith, and a model's API fetches what stands behind padding as well. A
  // form that is none is what curl makes of any text.
  bool must_be_read(const Error& why, const std::string& text) const {
    if (reading_ != Reading::json) return false;
    return why.kind() == ErrorKind::limit ? speaks_to_model(text) : !guessed_;
  }

  void judge_fetches(const std::string& text, std::vector<ContentFinding>& findings) {
    net::RequestHead head = head_;
    head.query.reset();  // was judged with the head
    const auto urls = net::find_fetched_urls(head, text);
    if (!urls) {
      const bool stops = fetches_are_refused(network_) && must_be_read(urls.error(), text);
      if (stops || !guessed_) findings.push_back(unreadable(urls.error(), stops));
      return;
    }
    auto found = judge_fetched_urls(*urls, {network_, speaks_to_model(text), fetches_are_refused(network_)});
    std::ranges::move(found, std::back_inserter(findings));
  }

  const policy::Network& network_;
  net::RequestHead head_;
  GraphqlLimits limits_;
  bool limited_;
  Reading reading_;
  bool guessed_ = false;
  bool longer_ = false;  // a part has left
  net::JsonOutline outline_{kJudgedBytes};
  std::string text_;
  std::string held_;
};

}  // namespace

std::vector<ContentFinding> judge_request_query(const policy::Network& network, const Destination& to,
                                                const net::RequestHead& head) {
  std::vector<ContentFinding> findings;
  if (has_request_limits(network, to)) {
    const auto hidden = net::find_hidden_requests(head, {});
    if (!hidden)
      findings.push_back(unreadable(hidden.error(), true));
    else if (auto found = judge_hidden_requests(*hidden))
      findings.push_back(std::move(*found));
    if (head.body.kind == net::BodyKind::none || head.body == net::BodyFraming{net::BodyKind::length, 0}) {
      net::GraphqlHttp request{head.method, {}, {}, {}};
      if (head.query) request.query = *head.query;
      const GraphqlLimits limits = graphql_limits(network, to, head);
      if (!limits.empty() && !head.upgrade.empty())
        findings.push_back({"after an upgrade GraphQL can't be judged, and the rule limits it", {}, {}, true});
      else if (auto found = judge_graphql(limits, request))
        findings.push_back(std::move(*found));
    }
  }
  if (!fetches_are_judged(network)) return findings;
  const auto urls = net::find_fetched_urls(head, {});
  if (!urls) {
    findings.push_back(unreadable(urls.error(), false));
    return findings;
  }
  auto found = judge_fetched_urls(*urls, {network, false, fetches_are_refused(network)});
  std::ranges::move(found, std::back_inserter(findings));
  return findings;
}

std::unique_ptr<BodyFilter> request_body_judge(const policy::Network& network, const Destination& to,
                                               const net::RequestHead& head) {
  const bool limited = has_request_limits(network, to);
  GraphqlLimits limits = limited ? graphql_limits(network, to, head) : GraphqlLimits{};
  if (!limited && !fetches_are_judged(network)) return nullptr;
  const Reading reading = limits.empty() ? reading_of(head, limited) : Reading::graphql;
  if (reading == Reading::none) return nullptr;
  return std::make_unique<RequestBodyJudge>(network, head, std::move(limits), limited, reading);
}

}  // namespace stockade::egress
