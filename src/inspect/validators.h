// What a pattern can't say about a secret: checksums, ranges, entropy, and whether a value is only a placeholder. Pure
// functions over bytes of any origin.
//
// Sources: Luhn (ISO/IEC 7812-1), IBAN (ISO 13616, mod 97), SSN (SSA's areas since 2011), ABA (3-7-1), Base58Check
// (Bitcoin), MRZ (ICAO 9303-4), GitHub's checksum (CRC-32 of the first 30 characters in base 62).
#pragma once

#include <string>
#include <string_view>

#include "inspect/rules.h"

namespace stockade::inspect {

double shannon_entropy(std::string_view text);  // bits a byte

bool is_luhn_valid(std::string_view text);  // blanks and dashes are skipped
bool is_iban(std::string_view text);
bool is_ssn(std::string_view text);
bool is_aba_routing(std::string_view text);
bool is_base58check(std::string_view text);
bool has_github_checksum(std::string_view token);
bool is_jwt_head(std::string_view token);
bool is_passport_mrz(std::string_view text);
// An example, a variable, a template, or one pattern repeated: nothing that opens a door.
bool is_placeholder(std::string_view value);
// Such as code puts on the right side of an assignment: a plain word, a path, a call, a constant's name.
bool is_plain_expression(std::string_view value);

bool passes(Validator validator, std::string_view secret);

}  // namespace stockade::inspect
