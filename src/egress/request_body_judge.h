// The judgement of a request's query and body by what they ask for: other requests that hide in them and GraphQL, where
// a rule limits those (egress/request_limits.h), and URLs that the receiver will fetch (egress/fetched_url_judge.h).
//
// Nothing of a body up to kHeldWhole leaves before its end was judged; of a longer one the last kHeldTail bytes don't,
// and no server takes a request without its end for one. JSON is judged by its outline (net/json_outline.h), so that
// images and files in it may be of any size; GraphQL and forms as they are. What is longer than kJudgedBytes even so is
// refused where a rule limits, else logged and let through. Takes text, without content codings. One thread, one body.
#pragma once

#include "egress/body_filter.h"
#include "egress/records.h"
#include "net/http1.h"
#include "policy/policy.h"

namespace stockade::egress {

inline constexpr size_t kHeldWhole = 1024 * 1024;
inline constexpr size_t kHeldTail = 16 * 1024;
inline constexpr size_t kJudgedBytes = 4 * 1024 * 1024;

// What the head shows: its query; of a request without a body also whether that is GraphQL that may run.
std::vector<ContentFinding> judge_request_query(const policy::Network& network, const Destination& to,
                                                const net::RequestHead& head);

// Null: nothing in this body is of interest. `network` outlives it.
std::unique_ptr<BodyFilter> request_body_judge(const policy::Network& network, const Destination& to,
                                               const net::RequestHead& head);

}  // namespace stockade::egress
