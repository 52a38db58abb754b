#include "net/websocket.h"

#include <gtest/gtest.h>

#include "net/websocket_handshake.h"

namespace stockade::net {

namespace {

constexpr WebSocketMask kMask = {0x37, 0xfa, 0x21, 0x3d};

std::string frame(WebSocketOpcode opcode, std::string_view payload, bool final = true, bool masked = true) {
  std::string out;
  write_websocket_frame(out, {.opcode = opcode, .final = final}, payload, masked ? std::optional(kMask) : std::nullopt);
  return out;
}

struct Read {
  std::vector<WebSocketMessage> messages;
  bool refused = false;
  WebSocketClose code = WebSocketClose::none;
};

Read read(std::string_view bytes, size_t piece, const WebSocketLimits& limits = {}) {
  WebSocketReader reader(WebSocketSender::client, limits);
  Read out;
  for (size_t at = 0; at < bytes.size() && !reader.closed();) {
    const auto taken = reader.feed(bytes.substr(at, piece));
    if (!taken) {
      out.refused = true;
      out.code = reader.close_code();
      return out;
    }
    at += *taken;
    if (reader.has_message()) out.messages.push_back(reader.take_message());
  }
  return out;
}

// RFC 6455, section 5.7.
TEST(WebSocket, ReadsTheExamplesOfTheRfc) {
  const std::string masked("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
  ASSERT_EQ(read(masked, 1).messages.size(), 1U);
  EXPECT_EQ(read(masked, 100).messages[0].payload, "Hello");
  EXPECT_EQ(frame(WebSocketOpcode::text, "Hello"), masked);
  EXPECT_EQ(websocket_accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(WebSocket, JoinsFragmentsAndLetsControlFramesBetween) {
  const std::string bytes = frame(WebSocketOpcode::text, "Hel", false) + frame(WebSocketOpcode::ping, "p") +
                            frame(WebSocketOpcode::continuation, "lo") +
                            frame(WebSocketOpcode::binary, std::string(70'000, 'b'));
  for (const size_t piece : {size_t{1}, size_t{5}, bytes.size()}) {
    const Read got = read(bytes, piece);
    ASSERT_EQ(got.messages.size(), 3U) << piece;
    EXPECT_EQ(got.messages[0].opcode, WebSocketOpcode::ping);
    EXPECT_EQ(got.messages[1].payload, "Hello");
    EXPECT_EQ(got.messages[2].payload.size(), 70'000U);
  }
}

TEST(WebSocket, RefusesWhatTheRfcForbids) {
  struct Case {
    const char* name;
    std::string bytes;
    WebSocketClose code;
  };
  for (const Case& each : {
           Case{"unmasked from a client", frame(WebSocketOpcode::text, "x", true, false),
                WebSocketClose::protocol_error},
           Case{"reserved bit", std::string("\xc1\x80\0\0\0\0", 6), WebSocketClose::protocol_error},
           Case{"reserved opcode", std::string("\x83\x80\0\0\0\0", 6), WebSocketClose::protocol_error},
           Case{"continuation of nothing", frame(WebSocketOpcode::continuation, "x"), WebSocketClose::protocol_error},
           Case{"text in a message", frame(WebSocketOpcode::text, "a", false) + frame(WebSocketOpcode::text, "b"),
                WebSocketClose::protocol_error},
           Case{"fragmented ping", frame(WebSocketOpcode::ping, "a", false), WebSocketClose::protocol_error},
           Case{"long ping", frame(WebSocketOpcode::ping, std::string(126, 'a')), WebSocketClose::protocol_error},
           Case{"length that fits in less", std::string("\x81\xfe\0\x05\0\0\0\0hello", 13),
                WebSocketClose::protocol_error},
           Case{"no UTF-8", frame(WebSocketOpcode::text, "\xff"), WebSocketClose::invalid_payload},
           Case{"UTF-8 that breaks off", frame(WebSocketOpcode::text, "\xe2\x82"), WebSocketClose::invalid_payload},
           Case{"overlong UTF-8", frame(WebSocketOpcode::text, "\xc0\xaf"), WebSocketClose::invalid_payload},
           Case{"surrogate", frame(WebSocketOpcode::text, "\xed\xa0\x80"), WebSocketClose::invalid_payload},
           Case{"close with half a code", frame(WebSocketOpcode::close, "\x03"), WebSocketClose::protocol_error},
           Case{"close with a code that is never sent", frame(WebSocketOpcode::close, std::string("\x03\xed", 2)),
                WebSocketClose::protocol_error},
       }) {
    for (const size_t piece : {size_t{1}, each.bytes.size()}) {
      const Read got = read(each.bytes, piece);
      EXPECT_TRUE(got.refused) << each.name;
      EXPECT_EQ(got.code, each.code) << each.name;
    }
  }
}

TEST(WebSocket, IsBounded) {
  EXPECT_EQ(read(frame(WebSocketOpcode::binary, std::string(101, 'x')), 1000, {.message = 100}).code,
            WebSocketClose::too_big);
  std::string fragments = frame(WebSocketOpcode::binary, "x", false);
  for (int i = 0; i < 20; ++i) fragments += frame(WebSocketOpcode::continuation, "x", false);
  EXPECT_TRUE(read(fragments, 1000, {.fragments = 10}).refused);
  std::string pings;
  for (int i = 0; i < 20; ++i) pings += frame(WebSocketOpcode::ping, "");
  EXPECT_TRUE(read(pings, 1000, {.control_frames = 10}).refused);
}

TEST(WebSocket, TakesNothingBehindAClose) {
  std::string bytes;
  write_websocket_close(bytes, WebSocketClose::policy_violation, "a secret", kMask);
  WebSocketReader reader(WebSocketSender::client);
  const auto taken = reader.feed(bytes + "rest");
  ASSERT_TRUE(taken);
  EXPECT_EQ(*taken, bytes.size());
  ASSERT_TRUE(reader.has_message());
  const WebSocketMessage close = reader.take_message();
  EXPECT_EQ(close.code, WebSocketClose::policy_violation);
  EXPECT_EQ(close.payload, "a secret");
  EXPECT_TRUE(reader.closed());
}

}  // namespace

}  // namespace stockade::net
