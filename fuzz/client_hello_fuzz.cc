// The first flight of a TLS client. A mode byte wraps the input so that lengths do not stop the fuzzer at each level:
// raw bytes, a ClientHello's body, its extensions, or one extension's body.
// covers: src/net/client_hello.cc src/net/first_bytes.cc
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "net/client_hello.h"
#include "net/first_bytes.h"

namespace {

using namespace stockade::net;

void require(bool condition) {
  if (!condition) std::abort();
}

std::string number(size_t value, int width) {
  std::string out;
  for (int i = width - 1; i >= 0; --i) out.push_back(static_cast<char>(value >> (8 * i)));
  return out;
}

std::string vec(std::string_view body, int width) { return number(body.size(), width).append(body); }

std::string in_records(std::string_view handshake, size_t piece) {
  std::string out;
  for (; !handshake.empty(); handshake.remove_prefix(std::min(piece, handshake.size())))
    out += "\x16\x03\x01" + vec(handshake.substr(0, piece), 2);
  return out;
}

std::string wrapped(uint8_t mode, std::string_view bytes) {
  std::string body(bytes);
  if (mode >= 3) body = number(mode == 3 ? 0 : mode == 4 ? 16 : 43, 2) + vec(body, 2);
  if (mode >= 2)
    body = "\x03\x03" + std::string(32, 'r') + vec("", 1) + vec("\x13\x01", 2) + vec(std::string(1, '\0'), 1) +
           vec(body, 2);
  return "\x01" + vec(body, 3);
}

bool same(const HelloResult& a, const HelloResult& b) {
  return a.state == b.state && a.hello.server_name == b.hello.server_name && a.hello.alpn == b.hello.alpn &&
         a.hello.ech == b.hello.ech && a.hello.versions == b.hello.versions;
}

// What was decided from the first bytes stays decided, and more bytes never take a decision back.
void check_prefixes(const std::string& stream, const HelloResult& whole) {
  const size_t step = std::max<size_t>(1, stream.size() / 64);
  for (size_t size = 0; size < stream.size(); size += step) {
    const std::string exact = stream.substr(0, size);
    const auto part = parse_client_hello(exact);
    require(part.state == HelloState::need_more || same(part, whole));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const uint8_t mode = data[0] % 6;
  (void)classify_first_bytes(std::string(bytes));
  if (mode == 0) {
    const std::string stream(bytes);
    const auto whole = parse_client_hello(stream);
    check_prefixes(stream, whole);
    if (whole.state == HelloState::hello || whole.state == HelloState::malformed)
      require(classify_first_bytes(stream) == FirstBytes::tls);
    return 0;
  }
  const std::string handshake = wrapped(mode, bytes);
  const std::string stream = in_records(handshake, 16 * 1024);
  const auto whole = parse_client_hello(stream);
  check_prefixes(stream, whole);
  if (whole.state == HelloState::hello) {
    const size_t piece = handshake.size() / 20 + 1;
    require(same(parse_client_hello(in_records(handshake, piece)), whole));
    if (whole.hello.server_name) require(!whole.hello.server_name->empty());
  }
  return 0;
}
