// Recovery phrases of wallets (the Bitcoin proposal BIP-39): its 2048 words, and the checksum of a phrase. The table is
// a constant of the program. Pure functions, any thread.
#pragma once

#include <span>
#include <string_view>

namespace stockade::inspect {

int bip39_index(std::string_view word);  // any case; -1: not one of the words
// 12, 15, 18, 21 or 24 indices whose checksum holds.
bool is_bip39_phrase(std::span<const int> indices);

}  // namespace stockade::inspect
