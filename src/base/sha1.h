// SHA-1 (RFC 3174), for file formats that demand it. It protects nothing: collisions are made at will, so no decision
// may rest on one.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace stockade {

std::array<uint8_t, 20> sha1(std::string_view bytes);

}  // namespace stockade
