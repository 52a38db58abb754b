// Content codings: the same bytes decode to the same text however they are cut, never to more than the limit; what is
// encoded as gzip decodes to itself.
//
// covers: src/net/content_coding.cc
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "net/content_coding.h"

namespace {

using namespace stockade;
using namespace stockade::net;

constexpr uint64_t kLimit = 256 * 1024;

void require(bool condition) {
  if (!condition) std::abort();
}

struct Decoded {
  bool sound = true;
  std::string text;
};

Decoded decode(const std::vector<ContentCoding>& codings, std::string_view bytes, size_t piece) {
  auto decoder = ContentDecoder::make(codings, {.output = kLimit, .ratio = 1'000'000}).value();
  Decoded result;
  while (!bytes.empty() && result.sound) {
    const std::string exact(bytes.substr(0, piece));
    result.sound = decoder.decode(exact, result.text).has_value();
    bytes.remove_prefix(exact.size());
  }
  require(result.text.size() <= kLimit);
  result.sound = result.sound && decoder.finish();
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const uint8_t mode = data[0];
  if (mode >= 0xf0) {
    const auto codings = parse_content_codings(bytes);
    require(!codings || codings->size() <= 3);
    GzipEncoder encoder;
    std::string encoded;
    require(encoder.encode(bytes.substr(0, bytes.size() / 2), encoded, (mode & 1) != 0).has_value());
    require(encoder.encode(bytes.substr(bytes.size() / 2), encoded).has_value());
    require(encoder.finish(encoded).has_value());
    const auto back = decode({ContentCoding::gzip}, encoded, 3);
    require(back.sound && back.text == bytes);
    return 0;
  }
  std::vector<ContentCoding> codings = {static_cast<ContentCoding>(mode & 3)};
  if ((mode & 4) != 0) codings.push_back(static_cast<ContentCoding>(mode >> 3 & 3));
  const auto whole = decode(codings, bytes, bytes.size() + 1);
  for (size_t piece : {1, 5}) {
    const auto cut = decode(codings, bytes, piece);
    require(cut.sound == whole.sound && (!cut.sound || cut.text == whole.text));
  }
  return 0;
}
