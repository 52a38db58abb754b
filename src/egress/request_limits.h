// What rules with methods, paths or graphql ask of a request beyond its first line: that no other request hides in it
// (net/method_override.h), and that its GraphQL runs nothing but what they name (net/graphql_operation.h). Pure, any
// thread.
#pragma once

#include <optional>

#include "egress/body_filter.h"
#include "egress/records.h"
#include "net/graphql_operation.h"
#include "net/method_override.h"
#include "policy/policy.h"

namespace stockade::egress {

// Why a request with these is refused where methods or paths are limited; none: nothing hides in it. JSON-RPC's and
// GraphQL's batches hide no method or path, and pass.
std::optional<ContentFinding> judge_hidden_requests(const net::HiddenRequests& hidden);

// The limits of which a request must keep one; empty: it is not limited, because no rule does, or because a rule that
// admits it has none.
using GraphqlLimits = std::vector<const policy::GraphqlLimit*>;
GraphqlLimits graphql_limits(const policy::Network& network, const Destination& to, const net::RequestHead& head);
std::optional<ContentFinding> judge_graphql(const GraphqlLimits& limits, const net::GraphqlHttp& request);

}  // namespace stockade::egress
