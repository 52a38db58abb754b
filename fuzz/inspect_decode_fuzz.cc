// The decoders: every one over any bytes. Whatever they make of them, a view's offsets lie inside of the input, in
// order, and views stay within a few times the input.
// covers: src/inspect/decode_escapes.cc src/inspect/decode_runs.cc src/inspect/decode_base85.cc
// covers: src/inspect/decode_unicode.cc src/inspect/decode_compressed.cc src/inspect/view.cc
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "inspect/decode.h"

namespace {

using namespace stockade::inspect;

void require(bool condition) {
  if (!condition) std::abort();
}

void check(const Views& views, size_t input) {
  for (const View& view : views) {
    const size_t size = view.bytes.size();
    size_t last = 0;
    for (size_t at = 0; at < size; at += 1 + size / 64) {
      const auto [begin, end] = view.source_of(at, at + 1);
      require(begin <= end && end <= input);
      if (view.way == Way::even) require(begin >= last);
      if (view.way == Way::even) last = begin;
    }
    const auto [begin, end] = view.source_of(0, size);
    require(begin <= end && end <= input);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const std::vector<char> exact(data + 1, data + size);  // on the heap and not ended by a zero
  const std::string_view text(exact.data(), exact.size());
  Views views;
  switch (data[0] % 8) {
    case 0:
      decode_escapes(text, views);
      break;
    case 1:
      decode_quoted_printable(text, views);
      break;
    case 2:
      decode_runs(text, views);
      break;
    case 3:
      decode_base85(text, views);
      break;
    case 4:
      decode_unicode(text, views);
      break;
    case 5:
      decode_wide(text, views);
      break;
    case 6:
      if (!text.empty()) {
        const size_t at = static_cast<unsigned char>(text[0]) % text.size();
        views.push_back(decode_rot13(text, 0, at));
        views.push_back(decode_reversed(text, at, text.size()));
      }
      break;
    case 7: {
      const InflateLimits limits{.bytes = 200'000, .ratio = 100};
      for (const auto kind :
           {Compression::gzip, Compression::zlib, Compression::deflate, Compression::brotli, Compression::zstd}) {
        inflate(text, 0, kind, limits, views);
        for (const View& view : views) require(view.bytes.size() <= limits.bytes + 16 * 1024);
      }
      break;
    }
  }
  check(views, text.size());
  return 0;
}
