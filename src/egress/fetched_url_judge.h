// URLs in a request that its receiver will fetch (net/fetched_urls.h), judged like destinations of our own, each in
// every reading. What is forbidden (private, loopback, metadata) is refused wherever a receiver may fetch it; where an
// API certainly fetches, so is every host and port that no rule allows; the rest is one finding for the log.
//
// In a model's conversation only the API's own fields are fetched: its text, its tools' arguments and results are what
// the agent did and read, and pass. A redirect_uri on loopback is a browser's to follow (RFC 8252, 7.3). Bare names and
// addresses in fields that may mean anything ("host": "10.0.0.5") are logged, but for metadata. Pure, any thread.
#pragma once

#include "egress/body_filter.h"
#include "net/fetched_urls.h"
#include "policy/policy.h"

namespace stockade::egress {

struct FetchedUrlContext {
  const policy::Network& network;
  bool conversation = false;  // the request speaks a model's API
  bool stops = true;          // else everything is logged
};

// At most one finding that stops, or one that does not.
std::vector<ContentFinding> judge_fetched_urls(const std::vector<net::FetchedUrl>& urls,
                                               const FetchedUrlContext& context);

}  // namespace stockade::egress
