// For tests and fuzzers: HTTP/2 frames written by hand, wrong ones too, and a server or client to feed them to.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "net/http2_client.h"
#include "net/http2_server.h"

namespace stockade::net::http2_fixture {

using namespace std::string_literals;

enum : uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kResetStream = 3,
  kSettings = 4,
  kPushPromise = 5,
  kPing = 6,
  kGoAway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};
enum : uint8_t { kEndStream = 1, kAck = 1, kEndHeaders = 4, kPadded = 8, kPriorityFlag = 0x20 };

inline const std::string kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

inline std::string number(uint64_t value, size_t bytes) {
  std::string out;
  for (size_t i = bytes; i > 0; --i) out.push_back(static_cast<char>(value >> (8 * (i - 1)) & 0xff));
  return out;
}

inline std::string frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  return number(payload.size(), 3) + number(type, 1) + number(flags, 1) + number(stream, 4) + std::string(payload);
}

// HPACK: literals without indexing and without Huffman (RFC 7541, section 6.2.2).
inline std::string hpack_string(std::string_view text) {
  std::string out;
  if (text.size() < 127) return number(text.size(), 1) + std::string(text);
  out.push_back('\x7f');
  size_t rest = text.size() - 127;
  for (; rest >= 128; rest >>= 7) out.push_back(static_cast<char>(0x80 | (rest & 0x7f)));
  out.push_back(static_cast<char>(rest));
  return out.append(text);
}
inline std::string hpack(const std::vector<HttpField>& fields) {
  std::string out;
  for (const HttpField& field : fields) out += "\0"s + hpack_string(field.name) + hpack_string(field.value);
  return out;
}
inline std::string head(uint32_t stream, const std::vector<HttpField>& fields, bool end) {
  return frame(kHeaders, kEndHeaders | (end ? kEndStream : 0), stream, hpack(fields));
}

inline std::vector<HttpField> request_fields(std::vector<HttpField> more = {}, std::string_view method = "GET") {
  std::vector<HttpField> fields = {
      {":method", std::string(method)}, {":scheme", "https"}, {":authority", "a.example"}, {":path", "/"}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}
inline std::string get(uint32_t stream, std::vector<HttpField> more = {}) {
  return head(stream, request_fields(std::move(more)), true);
}
inline std::string post(uint32_t stream, std::vector<HttpField> more = {}) {
  return head(stream, request_fields(std::move(more), "POST"), false);
}

inline H2Options https() {
  H2Options options;
  options.rules.scheme = "https";
  return options;
}

struct Frame {
  uint8_t type = 0, flags = 0;
  uint32_t stream = 0;
  std::string payload;
};
inline std::vector<Frame> frames_of(std::string_view bytes) {
  std::vector<Frame> frames;
  const auto at = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(bytes[i])); };
  while (bytes.size() >= 9) {
    const size_t size = at(0) << 16 | at(1) << 8 | at(2);
    frames.push_back({static_cast<uint8_t>(at(3)), static_cast<uint8_t>(at(4)),
                      at(5) << 24 | at(6) << 16 | at(7) << 8 | at(8), std::string(bytes.substr(9, size))});
    bytes.remove_prefix(std::min(bytes.size(), size + 9));
  }
  return frames;
}

// What came of some bytes.
struct Outcome {
  std::vector<H2Event> events;
  std::string error;                                  // of feed()
  std::optional<uint32_t> go_away;                    // the code that the last output says
  std::vector<std::pair<uint32_t, uint32_t>> resets;  // stream and code, in output

  template <typename T>
  std::vector<T> only() const {
    std::vector<T> found;
    for (const H2Event& event : events)
      if (const T* one = std::get_if<T>(&event)) found.push_back(*one);
    return found;
  }
};

inline uint32_t number_at(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = at; i < at + 4 && i < bytes.size(); ++i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

inline Outcome feed(H2Session& session, std::string_view bytes) {
  Outcome outcome;
  if (auto fed = session.feed(bytes); !fed) outcome.error = fed.error().message();
  outcome.events = session.take_events();
  for (const Frame& sent : frames_of(session.take_output())) {
    if (sent.type == kGoAway) outcome.go_away = number_at(sent.payload, 4);
    if (sent.type == kResetStream) outcome.resets.emplace_back(sent.stream, number_at(sent.payload, 0));
  }
  return outcome;
}

// A server that has had its client's preface, and a client that has opened stream 1.
inline std::unique_ptr<H2Server> started_server(const H2Options& options = https()) {
  auto server = H2Server::make(options).value();
  (void)server->take_output();
  (void)feed(*server, kPreface + frame(kSettings, 0, 0, "") + frame(kSettings, kAck, 0, ""));
  return server;
}
inline std::unique_ptr<H2Client> started_client(const H2Options& options = https(), std::string_view method = "GET",
                                                bool end = true) {
  auto client = H2Client::make(options).value();
  (void)feed(*client, frame(kSettings, 0, 0, "\0\x08\0\0\0\1"s) + frame(kSettings, kAck, 0, ""));
  H2RequestHead request{
      .method = std::string(method), .scheme = "https", .authority = "a.example", .path = "/", .fields = {}};
  (void)client->send_request(request, end).value();
  (void)client->take_output();
  return client;
}

}  // namespace stockade::net::http2_fixture
