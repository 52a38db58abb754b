// One connection of the agent, from accept to its relay or its refusal:
//
//   original destination ▸ name ▸ allowlist ▸ first bytes: TLS, HTTP/1, other ▸ dialer ▸ relay or HTTP session
//
// Every step can refuse; what waits has a deadline. The coroutine ends when the relay takes over, so that what it knew
// costs nothing afterwards.
#pragma once

#include "egress/refusals.h"

namespace stockade::egress {

// A connection that the kernel redirected to us: its own address is where the agent meant to go.
loop::Task<void> serve_connection(Inspector& inspector, Fd client, Endpoint peer);

// A connection to the explicit proxy: SOCKS5, HTTP CONNECT or HTTP absolute-form, told apart by the first byte.
loop::Task<void> serve_proxy_connection(Inspector& inspector, Fd client, Endpoint peer);

// The judgement of a destination; sets `to.rule` and returns none when a rule allows it, else the notice to refuse
// with.
std::optional<Notice> judge_destination(const policy::Network& network, Destination& to);

// What follows the allowlist. `ready` is the upstream connection if it stands already (CONNECT, SOCKS5).
loop::Task<void> serve_admitted(Inspector& inspector, Connection connection, Destination to, InBuffer in,
                                std::optional<Upstream> ready);

// What was accepted, with both its ends; none if the system gives no more.
std::optional<Connection> describe_connection(Inspector& inspector, Fd client, Endpoint peer);

}  // namespace stockade::egress
