// What a plain session puts in the log: the facts of its startup as evidence, and the three reasons to end it. Values
// are cut by the record, and escaped by the log. Pure.
#pragma once

#include "egress/content_guard.h"
#include "egress/records.h"
#include "net/startup.h"

namespace stockade::egress {

Notice session_begins(const Destination& to, const net::StartupFacts& facts, bool inside_tls);
// `protocol`: empty where it is not known.
Notice session_malformed(const Destination& to, std::string_view protocol, std::string reason);
Notice session_tls_refused(const Destination& to, std::string reason, std::string hint);
Notice session_secret(const Destination& to, std::string_view protocol, const inspect::Finding& found);

}  // namespace stockade::egress
