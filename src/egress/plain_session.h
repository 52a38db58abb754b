// A connection by a rule of protocol tcp that is not passed through: PlainJudge says what of each side's bytes goes on,
// and nothing else does. Where the two agree on TLS, or the client begins with it, it is opened like any other: the
// name that the client asks for (if it asks for one: many of these clients don't) must be the one that it connected to,
// the sealer goes on with the server, which must prove to be that, and the client gets a leaf of the run's authority;
// what is inside is judged in the same way. A refusal is a reset of both ends, and an event; what the startup says
// (protocol, user, database, …) is an event of kind "session", in the log before it reaches the server.
//
// Not seen: what is encrypted by other means than TLS (SSH), compressed by the protocol, or sent in pieces over several
// connections. (docs/policy.md)
#pragma once

#include "egress/refusals.h"

namespace stockade::egress {

// `upstream` stands, in the clear.
loop::Task<void> serve_plain(Inspector& inspector, Connection connection, Destination to, InBuffer in,
                             Upstream upstream);

}  // namespace stockade::egress
