// Sealer: the process that speaks TLS with servers. It is given connected descriptors by the dialer, together with whom
// the dialer connected to; the server must prove to be that, by the host's roots and the exact name. The inspector gets
// the plain side. It can connect to nothing, and believes nothing that the inspector says: bytes are all it takes from
// there. (docs/architecture.md; later it fills in secrets.) One thread.
#pragma once

#include <memory>

#include "egress/channel.h"
#include "egress/wire.h"
#include "net/tls_session.h"

namespace stockade::egress {

inline constexpr Duration kSealDeadline = std::chrono::seconds(15);

struct SealerOptions {
  std::string roots;  // PEM
  Fd dialer;
  Fd inspector;
  Fd lifeline;  // its end is ours
  pid_t parent = 0;
};

// The body of the forked process; returns its exit status.
int run_sealer(SealerOptions options);

class Sealer {
 public:
  Sealer(loop::Loop& loop, net::TlsContext context) : loop_(loop), context_(std::move(context)) {}
  Result<void> open(Fd dialer, Fd inspector, Fd lifeline);
  // Serves until one of its channels ends.
  Result<void> run();

 private:
  class DialerSide;
  class SilentSide;
  friend class DialerSide;
  loop::Task<void> watch(Channel& channel, RecordHandler& side);
  loop::Task<void> serve(Seal seal, Fd connection);
  loop::Task<Result<Wire>> establish(Seal seal, Fd connection);

  loop::Loop& loop_;
  net::TlsContext context_;
  std::unique_ptr<Channel> dialer_, inspector_, lifeline_;
  std::unique_ptr<RecordHandler> dialer_side_, silent_side_;
  Result<void> outcome_;
};

}  // namespace stockade::egress
