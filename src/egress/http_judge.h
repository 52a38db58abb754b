// The judgement of one HTTP request, as a function of values: Host, upgrade, path, method. Query and body are judged
// behind it (egress/request_body_judge.h). Pure, any thread.
#pragma once

#include <optional>
#include <string>

#include "egress/records.h"
#include "net/http1.h"
#include "policy/policy.h"

namespace stockade::egress {

struct RequestVerdict {
  bool allowed = false;
  bool asks = false;  // allowed, once a person has approved it
  int32_t rule = -1;
  bool by_deny_rule = false;
  std::string reason;
  std::string hint;
};

// `to` is the destination that a rule admitted (its rule set).
RequestVerdict judge_http_request(const policy::Network& network, const Destination& to, const net::RequestHead& head);

// Some rule for this destination limits methods, paths or GraphQL.
bool has_request_limits(const policy::Network& network, const Destination& to);

}  // namespace stockade::egress
