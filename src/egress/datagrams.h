// UDP that is not DNS: refused. Each datagram is an event, and its sender gets an ICMP port-unreachable, so that
// programs fall back (QUIC to TCP) at once instead of waiting.
#pragma once

#include <string>

#include "egress/inspector.h"

namespace stockade::egress {

loop::Task<void> refuse_datagrams(Inspector& inspector, loop::AsyncFd udp, Fd icmp);

// The body of the ICMP message that tells `from` that `to` has no such port: RFC 792 for IPv4 (with its checksum), RFC
// 4443 for IPv6 (the kernel fills the checksum in).
std::string port_unreachable(const Endpoint& from, const Endpoint& to);

}  // namespace stockade::egress
