// DNS as the agent sees it: every well-formed name has a synthetic address (name_table.h), localhost is loopback, other
// types exist and are empty, and no query ever leaves. What is not allowed is refused when it connects, where that can
// be explained. Past the table's bound: SERVFAIL, and an event.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "egress/inspector.h"

namespace stockade::egress {

// UDP on port 53 of any address; the reply comes from the address that was asked (IP_PKTINFO).
loop::Task<void> serve_dns_datagrams(Inspector& inspector, loop::AsyncFd socket);
// One TCP connection to port 53.
loop::Task<void> serve_dns_stream(Inspector& inspector, Fd client);

struct DnsAnswer {
  std::string bytes;             // empty: nothing is answered
  std::optional<Notice> notice;  // must be in the log before the answer goes
};
// `over_udp` bounds the answer's size by what the client takes.
DnsAnswer answer_dns(NameTable& names, std::string_view query, bool over_udp);

}  // namespace stockade::egress
