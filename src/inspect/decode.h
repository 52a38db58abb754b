// Decoders: each looks for what it decodes, makes a view only where the bytes suggest one, and returns without having
// copied anything where they don't. None of them judges: a view that decodes to nonsense is cheap and finds nothing.
// The work of a call is linear in its input, except Base58 (quadratic, in runs of at most 200), and views are no larger
// together than a few times the input; compressed data is bounded by InflateLimits. Pure functions, any thread.
//
// Sources: RFC 4648 (base16, 32, 64), RFC 2045 (quoted-printable, MIME lines), RFC 1924 and Adobe's Ascii85, RFC 3986,
// RFC 8259, HTML's character references, RFC 2152 (UTF-7), RFC 1950 to 1952, 7932, 8878.
#pragma once

#include <cstdint>

#include "inspect/view.h"

namespace stockade::inspect {

// %41, \x41, \u0041, \u{41}, \101, \/ and &#65; &#x41; &lowbar;, together in one view: a text may mix them.
void decode_escapes(std::string_view text, Views& views);
void decode_quoted_printable(std::string_view text, Views& views);

// Runs of an alphabet, whole or in lines: base64 (both alphabets, any alignment, padded or not), base32, base58, hex;
// and groups with something between: spaced text, hex pairs, decimal, octal and binary numbers.
void decode_runs(std::string_view text, Views& views);
void decode_base85(std::string_view text, Views& views);

// Compatibility forms (full-width, mathematical, circled, …) folded by NFKC; zero-width, bidirectional, variation and
// combining characters taken away; tag characters turned into what they tag; look-alike letters to Latin.
void decode_unicode(std::string_view text, Views& views);
// UTF-16 and UTF-32, either order.
void decode_wide(std::string_view text, Views& views);

View decode_rot13(std::string_view text, size_t begin, size_t end);
View decode_reversed(std::string_view text, size_t begin, size_t end);

struct InflateLimits {
  size_t bytes = 4 << 20;  // of output
  size_t ratio = 200;      // output over input, once there are 64 KiB of it
};
enum class Compression : uint8_t { gzip, zlib, deflate, brotli, zstd };
enum class Inflated : uint8_t {
  complete,
  cut,      // what there is ends before the data does
  limited,  // a limit was reached: what was not seen may hold anything
  invalid,
};
std::string_view to_string(Compression compression);
// Decompresses text[at…] and adds a view of what came out, whatever the result, unless nothing did.
Inflated inflate(std::string_view text, size_t at, Compression compression, const InflateLimits& limits, Views& views);

}  // namespace stockade::inspect
