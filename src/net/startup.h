// Which of the startup protocols a connection speaks: by the rule's port, or by the client's first bytes where the
// client speaks first. TLS and HTTP are first_bytes.h's business and are asked for first. Pure, any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "net/startup_parser.h"

namespace stockade::net {

// The registered port of a protocol, and the ones in common use beside it (587 and 2525: SMTP). Ports where TLS starts
// at the first byte (465, 993, 995, 990, 636, 5671, 8883) have no entry.
std::optional<StartupProtocol> startup_by_port(uint16_t port);

// What is spoken inside TLS that starts at the first byte, by its port (465, 993, 995, 990, 636, 5671, 8883 …).
std::optional<StartupProtocol> startup_inside_tls_by_port(uint16_t port);

// True where the server says the first word, so that a connection must be opened before it can be judged further.
bool server_speaks_first(StartupProtocol protocol);

struct StartupGuess {
  bool need_more = false;
  std::optional<StartupProtocol> protocol;  // none and not need_more: none of them
};
// From everything that the client has sent so far. Decides as early as the bytes allow. A protocol whose server speaks
// first can't be known here, but for SSH.
StartupGuess startup_by_first_bytes(std::string_view client);

std::unique_ptr<StartupParser> make_startup_parser(StartupProtocol protocol);

}  // namespace stockade::net
