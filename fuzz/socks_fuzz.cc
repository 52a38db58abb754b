// SOCKS 5 messages, the spellings of addresses that their names may be, and what a refusal makes of hostile text.
// covers: src/net/socks5.cc src/net/address_spelling.cc src/net/refusal.cc
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "net/address_classes.h"
#include "net/address_spelling.h"
#include "net/refusal.h"
#include "net/socks5.h"

namespace {

using namespace stockade;
using namespace stockade::net;

void require(bool condition) {
  if (!condition) std::abort();
}

// A prefix gives need_more or the same answer, and no answer claims more bytes than there are.
template <typename Parse>
void check(std::string_view bytes, Parse parse) {
  const std::string exact(bytes);
  const auto whole = parse(exact);
  require(whole.consumed <= exact.size());
  for (size_t size = 0; size < std::min<size_t>(exact.size(), 300); ++size) {
    const std::string prefix = exact.substr(0, size);
    const auto part = parse(prefix);
    require(part.consumed <= prefix.size());
    require(part.state == SocksState::need_more || (part.state == whole.state && part.consumed == whole.consumed));
  }
}

void fuzz_spelling(std::string_view bytes) {
  const std::string exact(bytes);
  (void)ends_in_number(exact);
  (void)is_metadata_name(exact);
  const auto address = spelled_address(exact);
  if (!address) return;
  require(spelled_address(address->to_string()) == address);
  if (const auto found = forbidden_class(*address)) require(!found->reason(*address).empty());
}

void fuzz_refusal(std::string_view bytes) {
  const std::string text(bytes);
  const auto response = http_refusal({.message = text, .reason = text, .rule = text, .event = text, .hint = text});
  const auto end = response.find("\r\n\r\n");
  require(end != std::string::npos);
  require(std::count(response.begin(), response.begin() + static_cast<ptrdiff_t>(end), '\n') == 5);
  const auto body = std::string_view(response).substr(end + 4);
  // One line of printable ASCII: nothing left its string.
  require(std::all_of(body.begin(), body.end() - 1, [](char c) { return c >= ' ' && c < 0x7f; }));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0:
      check(bytes, parse_socks_greeting);
      break;
    case 1:
      check(bytes, parse_socks_request);
      break;
    case 2:
      fuzz_spelling(bytes);
      break;
    case 3:
      fuzz_refusal(bytes);
      break;
  }
  return 0;
}
