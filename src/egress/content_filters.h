// Which filters stand on an exchange's bodies, by the policy and by what the heads say: secrets in requests, orders to the
// model in responses; content codings are undone for them. One thread.
#pragma once

#include "egress/body_filter.h"
#include "egress/inspector.h"

namespace stockade::egress {

struct Filtering {
  std::unique_ptr<BodyFilter> filter;     // null: the body passes
  std::vector<ContentFinding> findings;  // at once: what can't be read
};

Filtering request_filtering(Inspector& inspector, net::RequestHead& head);
Filtering response_filtering(Inspector& inspector, const net::RequestHead& request, net::ResponseHead& head);

// Asks for no content coding that could not be undone.
void limit_accepted_codings(std::vector<net::HttpField>& fields);

// A filter that writes other bytes than it reads: no length can be promised, no digest holds.
void prepare_for_edits(std::vector<net::HttpField>& fields, net::BodyFraming& body, int minor_version);

}  // namespace stockade::egress
