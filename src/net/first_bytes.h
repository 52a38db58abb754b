// Which protocol a client speaks, from its first bytes: TLS, HTTP/1, HTTP/2 with prior knowledge, or something else.
// Decides as early as the bytes allow and never guesses. Pure, any thread.
#pragma once

#include <string_view>

namespace stockade::net {

enum class FirstBytes { need_more, tls, http1, http2, other };

FirstBytes classify_first_bytes(std::string_view bytes);

}  // namespace stockade::net
