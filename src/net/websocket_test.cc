// Frames and messages after the cases of the Autobahn test suite, by their numbers, each fed whole and byte by byte,
// and wslay as a second opinion.
#include "net/websocket.h"

#include <gtest/gtest.h>
#include <wslay/wslay.h>

#include "net/websocket_deflate.h"

namespace stockade::net {
namespace {

using namespace std::string_literals;
using enum WebSocketOpcode;

constexpr WebSocketMask kMask = {0x37, 0xfa, 0x21, 0x3d};

// A client's frame with any first byte.
std::string raw(uint8_t first, std::string_view payload, bool masked = true) {
  std::string out;
  write_websocket_frame(out, {.opcode = text}, payload, masked ? std::optional(kMask) : std::nullopt);
  out[0] = static_cast<char>(first);
  return out;
}
std::string frame(WebSocketOpcode opcode, std::string_view payload, bool final = true) {
  return raw(static_cast<uint8_t>((final ? 0x80 : 0) | static_cast<uint8_t>(opcode)), payload);
}
std::string closing(uint16_t code, std::string_view reason = {}) {
  return frame(close, std::string({static_cast<char>(code >> 8), static_cast<char>(code & 0xff)}).append(reason));
}

struct Heard {
  std::vector<std::pair<WebSocketOpcode, std::string>> messages;
  WebSocketClose code = WebSocketClose::none;  // of a close frame, or what to close with
  bool refused = false;
  bool operator==(const Heard&) const = default;
};

Heard hear(WebSocketReader& reader, std::string_view bytes, size_t piece) {
  Heard heard;
  while (!bytes.empty() && !reader.closed()) {
    const auto taken = reader.feed(bytes.substr(0, piece));
    if (!taken) {
      heard.refused = true;
      heard.code = reader.close_code();
      return heard;
    }
    bytes.remove_prefix(*taken);
    if (!reader.has_message()) continue;
    auto message = reader.take_message();
    if (message.opcode == close) heard.code = message.code;
    heard.messages.emplace_back(message.opcode, std::move(message.payload));
  }
  return heard;
}
Heard hear(std::string_view bytes, size_t piece = SIZE_MAX, const WebSocketLimits& limits = {}) {
  WebSocketReader reader(WebSocketSender::client, limits);
  return hear(reader, bytes, piece);
}

struct Case {
  std::string name;
  std::string bytes;
  Heard expected;
};
Case good(std::string name, std::string bytes, std::vector<std::pair<WebSocketOpcode, std::string>> messages) {
  return {std::move(name), std::move(bytes), {.messages = std::move(messages)}};
}
Case bad(std::string name, std::string bytes, WebSocketClose code = WebSocketClose::protocol_error,
         std::vector<std::pair<WebSocketOpcode, std::string>> before = {}) {
  return {std::move(name), std::move(bytes), {.messages = std::move(before), .code = code, .refused = true}};
}

void expect_all(const std::vector<Case>& cases) {
  for (const Case& one : cases) {
    SCOPED_TRACE(one.name);
    for (size_t piece : {SIZE_MAX, size_t{1}, size_t{3}}) {
      if (one.bytes.size() > 10'000 && piece < SIZE_MAX) continue;
      const Heard heard = hear(one.bytes, piece);
      EXPECT_EQ(heard.refused, one.expected.refused);
      EXPECT_EQ(heard.code, one.expected.code);
      EXPECT_TRUE(heard.messages == one.expected.messages) << heard.messages.size();
    }
  }
}

TEST(WebSocket, AutobahnSection1And2FramingAndPings) {
  std::vector<Case> cases;
  int number = 0;
  for (size_t size : {0, 125, 126, 127, 128, 65535, 65536}) {
    ++number;
    cases.push_back(
        good("1.1." + std::to_string(number), frame(text, std::string(size, '*')), {{text, std::string(size, '*')}}));
    cases.push_back(good("1.2." + std::to_string(number), frame(binary, std::string(size, '\xfe')),
                         {{binary, std::string(size, '\xfe')}}));
  }
  cases.push_back(good("2.1", frame(ping, ""), {{ping, ""}}));
  cases.push_back(good("2.2", frame(ping, "Hello, world!"), {{ping, "Hello, world!"}}));
  cases.push_back(
      good("2.3", frame(ping, "\x00\xff\xfe\xfd\xfc\xfb\x00\xff"s), {{ping, "\x00\xff\xfe\xfd\xfc\xfb\x00\xff"s}}));
  cases.push_back(good("2.4", frame(ping, std::string(125, '\xfe')), {{ping, std::string(125, '\xfe')}}));
  cases.push_back(bad("2.5", frame(ping, std::string(126, '\xfe'))));
  cases.push_back(good("2.7", frame(pong, ""), {{pong, ""}}));
  cases.push_back(good("2.8", frame(pong, "unsolicited"), {{pong, "unsolicited"}}));
  cases.push_back(
      good("2.9", frame(pong, "unsolicited") + frame(ping, "ping"), {{pong, "unsolicited"}, {ping, "ping"}}));
  std::string pings;
  std::vector<std::pair<WebSocketOpcode, std::string>> heard;
  for (int i = 0; i < 10; ++i) {
    pings += frame(ping, "payload-" + std::to_string(i));
    heard.emplace_back(ping, "payload-" + std::to_string(i));
  }
  cases.push_back(good("2.10", pings, heard));
  expect_all(cases);
}

TEST(WebSocket, AutobahnSection3And4ReservedBitsAndOpcodes) {
  std::vector<Case> cases = {
      bad("3.1 RSV3", raw(0x91, "Hello")),
      bad("3.2 RSV2 behind a good message", frame(text, "Hello") + raw(0xa1, "Hello") + frame(ping, ""),
          WebSocketClose::protocol_error, {{text, "Hello"}}),
      bad("3.3 RSV2 and RSV3", frame(text, "Hello") + raw(0xb1, "Hello"), WebSocketClose::protocol_error,
          {{text, "Hello"}}),
      bad("3.4 RSV1 that was not agreed on", frame(text, "Hello") + raw(0xc1, "Hello"), WebSocketClose::protocol_error,
          {{text, "Hello"}}),
      bad("3.5 RSV1 and RSV3, binary", raw(0xd2, "\x00\xff\xfe"s)),
      bad("3.6 RSV1 and RSV2, ping", raw(0xe9, "Hello")),
      bad("3.7 all bits, close", raw(0xf8, "")),
  };
  int number = 0;
  for (uint8_t opcode : {3, 4, 5, 6, 7}) {
    cases.push_back(bad("4.1." + std::to_string(++number), raw(static_cast<uint8_t>(0x80 | opcode), "reserved")));
    cases.push_back(bad("4.1 empty", frame(text, "Hello") + raw(static_cast<uint8_t>(0x80 | opcode), ""),
                        WebSocketClose::protocol_error, {{text, "Hello"}}));
  }
  number = 0;
  for (uint8_t opcode : {11, 12, 13, 14, 15}) {
    cases.push_back(bad("4.2." + std::to_string(++number), raw(static_cast<uint8_t>(0x80 | opcode), "reserved")));
    cases.push_back(bad("4.2 empty", frame(text, "Hello") + raw(static_cast<uint8_t>(0x80 | opcode), ""),
                        WebSocketClose::protocol_error, {{text, "Hello"}}));
  }
  expect_all(cases);
}

TEST(WebSocket, AutobahnSection5Fragmentation) {
  const auto f1 = [](WebSocketOpcode opcode = text) { return frame(opcode, "fragment1", false); };
  const auto f2 = [](bool final = true) { return frame(continuation, "fragment2", final); };
  const std::pair<WebSocketOpcode, std::string> both{text, "fragment1fragment2"};
  expect_all({
      bad("5.1 a ping in fragments", frame(ping, "fragment1", false) + f2()),
      bad("5.2 a pong in fragments", frame(pong, "fragment1", false) + f2()),
      good("5.3", f1() + f2(), {both}),
      good("5.6 a ping between fragments", f1() + frame(ping, "ping") + f2(), {{ping, "ping"}, both}),
      bad("5.9 a continuation of nothing", frame(continuation, "x") + frame(text, "Hello")),
      bad("5.12 an unfinished continuation of nothing", frame(continuation, "x", false) + frame(text, "Hello")),
      bad("5.15 a continuation behind a whole message",
          f1() + f2() + frame(continuation, "fragment3", false) + frame(text, "fragment4"),
          WebSocketClose::protocol_error, {both}),
      bad("5.16",
          frame(continuation, "fragment1", false) + frame(text, "fragment2", false) + frame(continuation, "fragment3")),
      bad("5.17", frame(continuation, "fragment1") + frame(text, "fragment2", false)),
      bad("5.18 a text inside of another", f1() + frame(text, "fragment2")),
      good("5.19 pings between five fragments",
           f1() + f2(false) + frame(ping, "pongme 1!") + frame(continuation, "fragment3", false) +
               frame(continuation, "fragment4", false) + frame(ping, "pongme 2!") + frame(continuation, "fragment5"),
           {{ping, "pongme 1!"}, {ping, "pongme 2!"}, {text, "fragment1fragment2fragment3fragment4fragment5"}}),
      bad("binary inside of text", f1() + frame(binary, "x")),
      {"a close between fragments", f1() + closing(1000), {.messages = {{close, ""}}, .code = WebSocketClose::normal}},
  });
}

std::string utf8(std::initializer_list<int> bytes) {
  std::string out;
  for (int byte : bytes) out.push_back(static_cast<char>(byte));
  return out;
}

TEST(WebSocket, AutobahnSection6Utf8) {
  const std::string greek = "Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!";
  const std::string kosme = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";
  std::vector<Case> cases = {
      good("6.1.1", frame(text, ""), {{text, ""}}),
      good("6.1.2", frame(text, "", false) + frame(continuation, "", false) + frame(continuation, ""), {{text, ""}}),
      good("6.1.3", frame(text, "", false) + frame(continuation, "middle", false) + frame(continuation, ""),
           {{text, "middle"}}),
      good("6.2.1", frame(text, greek), {{text, greek}}),
      good("6.2.2", frame(text, greek.substr(0, 12), false) + frame(continuation, greek.substr(12)), {{text, greek}}),
      bad("6.3.1", frame(text, kosme + "\xed\xa0\x80" + "edited"), WebSocketClose::invalid_payload),
      bad("6.4.1 at once, at the fragment that is wrong",
          frame(text, kosme, false) + frame(continuation, "\xf4\x90\x80\x80", false), WebSocketClose::invalid_payload),
      bad("6.4.3 at once, before its frame is complete",
          frame(text, kosme + "\xf4\x90\x80\x80" + "edited").substr(0, 6 + 11 + 2), WebSocketClose::invalid_payload),
  };
  std::string in_pieces = frame(text, greek.substr(0, 1), false);
  for (size_t i = 1; i < greek.size(); ++i) in_pieces += frame(continuation, greek.substr(i, 1), i + 1 == greek.size());
  cases.push_back(good("6.2.3 a fragment for each byte", in_pieces, {{text, greek}}));
  const std::string valid[] = {
      kosme,  // 6.5.1
      utf8({0x00}),
      utf8({0xc2, 0x80}),
      utf8({0xe0, 0xa0, 0x80}),
      utf8({0xf0, 0x90, 0x80, 0x80}),  // 6.7
      utf8({0x7f}),
      utf8({0xdf, 0xbf}),
      utf8({0xef, 0xbf, 0xbf}),
      utf8({0xf4, 0x8f, 0xbf, 0xbf}),  // 6.9
      utf8({0xed, 0x9f, 0xbf}),
      utf8({0xee, 0x80, 0x80}),
      utf8({0xef, 0xbf, 0xbd}),  // 6.11
      utf8({0xef, 0xbf, 0xbe}),
      utf8({0xf0, 0x9f, 0xbf, 0xbe}),
      utf8({0xf3, 0xaf, 0xbf, 0xbf}),  // 6.22
      utf8({0xf4, 0x8f, 0xbf, 0xbe}),
      utf8({0xef, 0xbf, 0xbf}),  // 6.23
  };
  for (const std::string& one : valid) cases.push_back(good("6 valid", frame(text, one), {{text, one}}));
  const std::string invalid[] = {
      // 6.6: kosme with one byte missing.
      utf8({0xce}),
      utf8({0xce, 0xba, 0xe1}),
      utf8({0xce, 0xba, 0xe1, 0xbd}),
      utf8({0xce, 0xba, 0xe1, 0xbd, 0xb9, 0xcf}),
      // 6.8 and 6.10: five and six bytes, and beyond U+10FFFF.
      utf8({0xf8, 0x88, 0x80, 0x80, 0x80}),
      utf8({0xfc, 0x84, 0x80, 0x80, 0x80, 0x80}),
      utf8({0xf7, 0xbf, 0xbf, 0xbf}),
      utf8({0xfb, 0xbf, 0xbf, 0xbf, 0xbf}),
      utf8({0xfd, 0xbf, 0xbf, 0xbf, 0xbf, 0xbf}),
      utf8({0xf4, 0x90, 0x80, 0x80}),
      // 6.12: continuation bytes alone.
      utf8({0x80}),
      utf8({0xbf}),
      utf8({0x80, 0xbf}),
      utf8({0x80, 0xbf, 0x80}),
      utf8({0x80, 0xbf, 0x80, 0xbf}),
      // 6.13: lonely start bytes.
      utf8({0xc0, 0x20}),
      utf8({0xdf, 0x20}),
      utf8({0xe0, 0x20}),
      utf8({0xef, 0x20}),
      utf8({0xf0, 0x20}),
      utf8({0xf7, 0x20}),
      utf8({0xf8, 0x20}),
      utf8({0xfc, 0x20}),
      // 6.14: the last byte missing.
      utf8({0xc0}),
      utf8({0xe0, 0x80}),
      utf8({0xf0, 0x80, 0x80}),
      utf8({0xdf}),
      utf8({0xef, 0xbf}),
      utf8({0xf7, 0xbf, 0xbf}),
      // 6.16: impossible bytes.
      utf8({0xfe}),
      utf8({0xff}),
      utf8({0xfe, 0xfe, 0xff, 0xff}),
      // 6.17 to 6.19: overlong forms.
      utf8({0xc0, 0xaf}),
      utf8({0xe0, 0x80, 0xaf}),
      utf8({0xf0, 0x80, 0x80, 0xaf}),
      utf8({0xf8, 0x80, 0x80, 0x80, 0xaf}),
      utf8({0xfc, 0x80, 0x80, 0x80, 0x80, 0xaf}),
      utf8({0xc1, 0xbf}),
      utf8({0xe0, 0x9f, 0xbf}),
      utf8({0xf0, 0x8f, 0xbf, 0xbf}),
      utf8({0xc0, 0x80}),
      utf8({0xe0, 0x80, 0x80}),
      utf8({0xf0, 0x80, 0x80, 0x80}),
      // 6.20 and 6.21: surrogates, alone and in pairs.
      utf8({0xed, 0xa0, 0x80}),
      utf8({0xed, 0xad, 0xbf}),
      utf8({0xed, 0xae, 0x80}),
      utf8({0xed, 0xaf, 0xbf}),
      utf8({0xed, 0xb0, 0x80}),
      utf8({0xed, 0xbe, 0x80}),
      utf8({0xed, 0xbf, 0xbf}),
      utf8({0xed, 0xa0, 0x80, 0xed, 0xb0, 0x80}),
      utf8({0xed, 0xaf, 0xbf, 0xed, 0xbf, 0xbf}),
  };
  for (const std::string& one : invalid) {
    cases.push_back(bad("6 invalid", frame(text, one), WebSocketClose::invalid_payload));
    cases.push_back(
        bad("6 invalid behind text", frame(text, "12345678901234567" + one), WebSocketClose::invalid_payload));
    cases.push_back(good("6 fine in binary", frame(binary, one), {{binary, one}}));
  }
  expect_all(cases);
}

TEST(WebSocket, AutobahnSection7Close) {
  std::vector<Case> cases = {
      {"7.1.1",
       frame(text, "Hello World!") + closing(1000),
       {.messages = {{text, "Hello World!"}, {close, ""}}, .code = WebSocketClose::normal}},
      {"7.1.3 nothing behind a close",
       closing(1000) + frame(ping, ""),
       {.messages = {{close, ""}}, .code = WebSocketClose::normal}},
      {"7.1.4 no text behind a close",
       closing(1000) + frame(text, "Hello World!"),
       {.messages = {{close, ""}}, .code = WebSocketClose::normal}},
      {"7.3.1 an empty close", frame(close, ""), {.messages = {{close, ""}}}},
      bad("7.3.2 a close of one byte", frame(close, "a")),
      {"7.3.3", closing(1000), {.messages = {{close, ""}}, .code = WebSocketClose::normal}},
      {"7.3.4", closing(1000, "Hello World!"), {.messages = {{close, "Hello World!"}}, .code = WebSocketClose::normal}},
      {"7.3.5",
       closing(1000, std::string(123, '*')),
       {.messages = {{close, std::string(123, '*')}}, .code = WebSocketClose::normal}},
      bad("7.3.6 a close of 126 bytes", closing(1000, std::string(124, '*'))),
      bad("7.5.1 a reason that is not UTF-8", closing(1000, "\xce\xba\xed\xa0\x80"), WebSocketClose::invalid_payload),
  };
  int number = 0;
  for (uint16_t code : {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999})
    cases.push_back({"7.7." + std::to_string(++number),
                     closing(code),
                     {.messages = {{close, ""}}, .code = static_cast<WebSocketClose>(code)}});
  number = 0;
  for (uint16_t code : {0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535}) {
    cases.push_back(bad("7.9." + std::to_string(++number), closing(code)));
    cases.push_back(bad("7.9 with a reason", closing(code, "why")));
  }
  cases.push_back(bad("7.9 code 1015", closing(1015)));
  expect_all(cases);
}

TEST(WebSocket, AutobahnSection9Sizes) {
  for (size_t size : {64 * 1024, 256 * 1024, 1024 * 1024, 4 * 1024 * 1024}) {
    const std::string payload(size, '*');
    EXPECT_EQ(hear(frame(text, payload)).messages,
              (std::vector<std::pair<WebSocketOpcode, std::string>>{{text, payload}}));
    EXPECT_EQ(hear(frame(binary, payload), 1300).messages.size(), 1u);
    std::string fragments;
    for (size_t at = 0; at < size; at += 4096)
      fragments += frame(at == 0 ? text : continuation, std::string_view(payload).substr(at, 4096), at + 4096 >= size);
    EXPECT_TRUE(hear(fragments).messages == (std::vector<std::pair<WebSocketOpcode, std::string>>{{text, payload}}));
  }
}

TEST(WebSocket, HoldsMasksAndLengthsToTheirRules) {
  expect_all({
      bad("5.1 a client's frame without a mask", raw(0x81, "Hello", false)),
      bad("5.2 a length of 126 bytes' form for 125", "\x82\xfe\x00\x7d"s + "\0\0\0\0"s + std::string(125, 'x')),
      bad("5.2 a length of 8 bytes for 65535", "\x82\xff\0\0\0\0\0\0\xff\xff\0\0\0\0"s + std::string(65535, 'x')),
      bad("5.2 a length with its highest bit", "\x82\xff\x80\0\0\0\0\1\0\0\0\0\0\0"s),
      bad("a length of 2^62", "\x82\xff\x40\0\0\0\0\0\0\0\0\0\0\0"s, WebSocketClose::too_big),
      bad("a ping with a length of two bytes", "\x89\xfe\x00\x7e\0\0\0\0"s),
  });
  WebSocketReader from_server(WebSocketSender::server);
  EXPECT_EQ(hear(from_server, raw(0x81, "Hello", false), 2).messages.size(), 1u);
  EXPECT_TRUE(hear(from_server, raw(0x81, "Hello", true), 2).refused) << "5.1 a server's frame with a mask";
}

TEST(WebSocket, KeepsItsLimits) {
  const WebSocketLimits limits{.message = 100, .fragments = 5, .empty_fragments = 2, .control_frames = 3};
  EXPECT_FALSE(hear(frame(text, std::string(100, 'x')), 7, limits).refused);
  EXPECT_EQ(hear(frame(text, std::string(101, 'x')), 7, limits).code, WebSocketClose::too_big);
  EXPECT_EQ(hear(frame(text, std::string(101, 'x')).substr(0, 6), 7, limits).code, WebSocketClose::too_big)
      << "by the header alone";
  EXPECT_EQ(hear(frame(text, std::string(60, 'x'), false) + frame(continuation, std::string(41, 'x')), 7, limits).code,
            WebSocketClose::too_big);
  const auto fragments = [](size_t count, std::string_view payload) {
    std::string out = frame(text, "x", false);
    for (size_t i = 1; i < count; ++i) out += frame(continuation, payload, i + 1 == count);
    return out;
  };
  EXPECT_FALSE(hear(fragments(5, "x"), 7, limits).refused);
  EXPECT_EQ(hear(fragments(6, "x"), 7, limits).code, WebSocketClose::policy_violation);
  EXPECT_FALSE(hear(fragments(4, ""), 7, limits).refused);
  EXPECT_EQ(hear(fragments(5, ""), 7, limits).code, WebSocketClose::policy_violation);
  const std::string three = frame(ping, "") + frame(pong, "") + frame(ping, "");
  EXPECT_FALSE(hear(three + frame(text, "x") + three, 7, limits).refused);
  EXPECT_EQ(hear(three + frame(ping, ""), 7, limits).code, WebSocketClose::policy_violation);
}

TEST(WebSocket, ToldWhenTheConnectionEnds) {
  WebSocketReader reader(WebSocketSender::client);
  EXPECT_FALSE(reader.finish()) << "no close frame";
  ASSERT_TRUE(reader.feed("\x81"));
  EXPECT_FALSE(reader.finish());
  WebSocketReader other(WebSocketSender::client);
  ASSERT_TRUE(other.feed(closing(1000)));
  EXPECT_TRUE(other.finish());
}

TEST(WebSocket, CutsACloseReasonBetweenCharacters) {
  std::string out, reason;
  while (reason.size() < 200) reason += "\xe2\x82\xac";
  write_websocket_close(out, WebSocketClose::policy_violation, reason, kMask);
  const auto heard = hear(out);
  ASSERT_EQ(heard.messages.size(), 1u);
  EXPECT_EQ(heard.code, WebSocketClose::policy_violation);
  EXPECT_EQ(heard.messages[0].second, reason.substr(0, 123));
  out.clear();
  write_websocket_close(out, WebSocketClose::policy_violation, std::string(122, 'x') + "\xe2\x82\xac", kMask);
  EXPECT_EQ(hear(out).messages[0].second, std::string(122, 'x'));
  out.clear();
  EXPECT_FALSE(write_websocket_message(out, ping, std::string(126, 'x'), nullptr, kMask));
}

// ---- permessage-deflate: sections 12 and 13

struct Compressed {
  WebSocketDeflateOptions options;
  WebSocketInflater inflater{options};
  WebSocketDeflater deflater{options};
  WebSocketReader reader{WebSocketSender::client, {}, &inflater};
};

TEST(WebSocket, AutobahnSections12And13Compression) {
  size_t cases = 0;
  for (uint8_t bits : {9, 15}) {
    for (bool takeover : {false, true}) {
      for (size_t size : {0, 16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072}) {
        for (size_t pieces : {1, 7}) {
          Compressed ends{.options = {.window_bits = bits, .context_takeover = takeover}};
          for (int round = 0; round < 5; ++round) {
            std::string payload;
            for (size_t i = 0; payload.size() < size; ++i)
              payload += "{\"n\": " + std::to_string(i * static_cast<size_t>(round + 7)) + "},";
            payload.resize(size);
            const std::string packed = ends.deflater.deflate(payload).value();
            std::string bytes;
            for (size_t i = 0; i < pieces; ++i) {
              const size_t from = packed.size() * i / pieces, to = packed.size() * (i + 1) / pieces;
              const auto opcode = static_cast<uint8_t>(i == 0 ? 0x41 : 0);
              bytes += raw(static_cast<uint8_t>(opcode | (i + 1 == pieces ? 0x80 : 0)),
                           std::string_view(packed).substr(from, to - from));
            }
            const auto heard = hear(ends.reader, bytes, 997);
            ASSERT_FALSE(heard.refused) << size;
            ASSERT_EQ(heard.messages.size(), 1u);
            EXPECT_TRUE(heard.messages[0].second == payload) << size;
          }
          ++cases;
        }
      }
    }
  }
  EXPECT_EQ(cases, 88u);
}

TEST(WebSocket, ReadsTheExamplesOfRfc7692) {
  struct Example {
    const char* name;
    std::string bytes;
  };
  const Example cases[] = {
      {"7.2.3.1 one block", raw(0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00"s)},
      {"7.2.3.1 in two frames", raw(0x41, "\xf2\x48\xcd"s) + raw(0x80, "\xc9\xc9\x07\x00"s)},
      {"7.2.3.3 a block without compression", raw(0xc1, "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"s)},
      {"7.2.3.4 a final block", raw(0xc1, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"s)},
      {"7.2.3.5 two blocks", raw(0xc1, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"s)},
      {"a message that is not compressed", raw(0x81, "Hello")},
  };
  for (const Example& one : cases) {
    Compressed ends;
    const auto heard = hear(ends.reader, one.bytes, 1);
    ASSERT_EQ(heard.messages.size(), 1u) << one.name;
    EXPECT_EQ(heard.messages[0].second, "Hello") << one.name;
  }
  // 7.2.3.2: the second message refers to the first.
  Compressed ends;
  const auto heard =
      hear(ends.reader, raw(0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00"s) + raw(0xc1, "\xf2\x00\x11\x00\x00"s), 1);
  EXPECT_EQ(heard.messages, (std::vector<std::pair<WebSocketOpcode, std::string>>{{text, "Hello"}, {text, "Hello"}}));
  Compressed forgetful{.options = {.context_takeover = false}};
  EXPECT_TRUE(hear(forgetful.reader, raw(0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00"s) + raw(0xc1, "\xf2\x00\x11\x00\x00"s), 1)
                  .refused);
}

TEST(WebSocket, RefusesWhatCompressionDoesNotAllow) {
  const std::string hello = "\xf2\x48\xcd\xc9\xc9\x07\x00"s;
  struct Wrong {
    const char* name;
    std::string bytes;
    WebSocketClose code;
  };
  const Wrong cases[] = {
      {"6.1 RSV1 on a continuation", raw(0x41, hello.substr(0, 3)) + raw(0xc0, hello.substr(3)),
       WebSocketClose::protocol_error},
      {"6.1 RSV1 on a ping", raw(0xc9, "x"), WebSocketClose::protocol_error},
      {"RSV2", raw(0xe1, hello), WebSocketClose::protocol_error},
      {"bytes that do not inflate", raw(0xc1, "\xff\xff\xff\xff"), WebSocketClose::invalid_payload},
      {"a text that is not UTF-8 once inflated", raw(0xc1, std::string("\x00\x01\x00\xfe\xff\xff\x00", 7)),
       WebSocketClose::invalid_payload},
  };
  for (const Wrong& one : cases) {
    Compressed ends;
    const auto heard = hear(ends.reader, one.bytes, 1);
    EXPECT_TRUE(heard.refused) << one.name;
    EXPECT_EQ(heard.code, one.code) << one.name;
  }
}

TEST(WebSocket, StopsABomb) {
  WebSocketDeflater deflater({});
  const std::string bomb = deflater.deflate(std::string(8 * 1024 * 1024, '\0')).value();
  EXPECT_LT(bomb.size(), 10'000u);
  WebSocketInflater by_size({});
  WebSocketReader small(WebSocketSender::client, {.message = 1024 * 1024}, &by_size);
  EXPECT_EQ(hear(small, raw(0xc2, bomb), SIZE_MAX).code, WebSocketClose::too_big);
  EXPECT_LE(small.held(), 3u * 1024 * 1024);
  WebSocketInflater by_ratio({});
  WebSocketReader large(WebSocketSender::client, {}, &by_ratio);
  EXPECT_EQ(hear(large, raw(0xc2, bomb), SIZE_MAX).code, WebSocketClose::too_big);
}

TEST(WebSocket, NegotiatesAsSection13Offers) {
  struct Offer {
    const char* value;
    const char* answer;  // null: declined
  };
  const Offer cases[] = {
      {"permessage-deflate", "permessage-deflate"},
      {"permessage-deflate; client_max_window_bits", "permessage-deflate"},
      {"permessage-deflate; client_max_window_bits=10", "permessage-deflate; client_max_window_bits=10"},
      {"permessage-deflate; server_max_window_bits=10", "permessage-deflate; server_max_window_bits=10"},
      {"permessage-deflate; server_max_window_bits=\"10\"", "permessage-deflate; server_max_window_bits=10"},
      {"permessage-deflate; server_no_context_takeover", "permessage-deflate; server_no_context_takeover"},
      {"permessage-deflate; client_no_context_takeover; server_no_context_takeover",
       "permessage-deflate; server_no_context_takeover; client_no_context_takeover"},
      {"x-webkit-deflate-frame, permessage-deflate", "permessage-deflate"},
      {"permessage-deflate; unknown, permessage-deflate", "permessage-deflate"},
      {"permessage-deflate; server_max_window_bits=8, permessage-deflate", "permessage-deflate"},
      {"x-other; y=z", nullptr},
      {"permessage-deflate; server_max_window_bits=8", nullptr},
      {"permessage-deflate; server_max_window_bits", nullptr},
      {"permessage-deflate; server_max_window_bits=16", nullptr},
      {"permessage-deflate; server_max_window_bits=010", nullptr},
      {"permessage-deflate; client_max_window_bits=7", nullptr},
      {"permessage-deflate; server_no_context_takeover=1", nullptr},
      {"permessage-deflate; server_no_context_takeover; server_no_context_takeover", nullptr},
      {"permessage-deflate; unknown=1", nullptr},
  };
  for (const Offer& one : cases) {
    SCOPED_TRACE(one.value);
    const auto parsed = parse_websocket_extensions(one.value);
    ASSERT_TRUE(parsed);
    const auto chosen = choose_deflate_offer(*parsed);
    ASSERT_EQ(chosen.has_value(), one.answer != nullptr);
    if (!chosen) continue;
    const auto answer = answer_deflate_offer(*chosen, false);
    EXPECT_EQ(write_deflate_answer(answer), one.answer);
    // The other side takes our answer for what it is.
    const auto read = read_deflate_answer(parse_websocket_extensions(write_deflate_answer(answer)).value(), *chosen);
    ASSERT_TRUE(read && *read) << read.error().message();
    EXPECT_EQ(**read, answer);
    EXPECT_TRUE(answer_deflate_offer(*chosen, true).server_no_context_takeover);
  }
  for (const char* malformed : {"", ",", "permessage-deflate;", "permessage-deflate; =", "a b", "a; b=\"c d\"",
                                "a; b=\"c", "a,,b", "a; b=;c", "\"a\""})
    EXPECT_FALSE(parse_websocket_extensions(malformed)) << malformed;
  const WebSocketDeflateParameters plain;
  for (const char* answer :
       {"x-other", "permessage-deflate; client_max_window_bits=10", "permessage-deflate, permessage-deflate",
        "permessage-deflate; server_max_window_bits=banana", "permessage-deflate; client_max_window_bits"})
    EXPECT_FALSE(read_deflate_answer(parse_websocket_extensions(answer).value(), plain)) << answer;
  EXPECT_FALSE(read_deflate_answer(parse_websocket_extensions("permessage-deflate; server_max_window_bits=12").value(),
                                   {.server_max_window_bits = 10}));
  EXPECT_FALSE(read_deflate_answer(parse_websocket_extensions("permessage-deflate").value(),
                                   {.server_no_context_takeover = true}));
}

// ---- wslay, a second opinion

struct Wslay {
  std::string input;
  size_t at = 0;
  std::vector<std::pair<WebSocketOpcode, std::string>> messages;
  bool failed = false;

  explicit Wslay(std::string_view bytes) : input(bytes) {
    wslay_event_callbacks callbacks{};
    callbacks.recv_callback = [](wslay_event_context_ptr context, uint8_t* out, size_t size, int,
                                 void* user) -> ssize_t {
      auto* self = static_cast<Wslay*>(user);
      const size_t count = std::min(size, self->input.size() - self->at);
      if (count == 0) wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
      if (count == 0) return -1;
      self->input.copy(reinterpret_cast<char*>(out), count, self->at);
      self->at += count;
      return static_cast<ssize_t>(count);
    };
    callbacks.on_msg_recv_callback = [](wslay_event_context_ptr, const wslay_event_on_msg_recv_arg* message,
                                        void* user) {
      static_cast<Wslay*>(user)->messages.emplace_back(
          static_cast<WebSocketOpcode>(message->opcode),
          std::string(reinterpret_cast<const char*>(message->msg), message->msg_length));
    };
    wslay_event_context_ptr context = nullptr;
    wslay_event_context_server_init(&context, &callbacks, this);
    failed = wslay_event_recv(context) != 0 || wslay_event_get_read_enabled(context) == 0;
    wslay_event_context_free(context);
  }
};

TEST(WebSocket, AgreesWithWslay) {
  uint64_t random = 88172645463325252u;
  const auto next = [&](uint64_t below) {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    return random % below;
  };
  size_t accepted = 0, refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string bytes;
    bool open = false;
    const size_t frames = 1 + next(6);
    for (size_t i = 0; i < frames; ++i) {
      // Mostly what is allowed, sometimes what is not.
      static constexpr uint8_t kOpcodes[] = {0, 1, 2, 9, 10, 1, 2, 9};
      uint8_t opcode = kOpcodes[next(8)];
      const bool control = opcode >= 8;
      if (!control && open) opcode = 0;
      if (!control && !open && opcode == 0) opcode = 1;
      const bool final = control || next(2) == 0;
      if (!control) open = !final;
      std::string payload(next(4) == 0 && !control ? 120 + next(20) : next(20), 'x');
      if (next(10) == 0) payload += "\xe2\x82\xac";
      uint8_t first = static_cast<uint8_t>((final ? 0x80 : 0) | opcode);
      if (next(40) == 0) first = static_cast<uint8_t>(first ^ (1u << next(8)));
      if ((first & 0x0f) == 8) first = 0x81;  // wslay tells of a close otherwise
      bytes += raw(first, payload, next(60) != 0);
    }
    const Heard ours = hear(bytes);
    const Wslay theirs(bytes);
    EXPECT_EQ(ours.refused, theirs.failed) << round;
    EXPECT_TRUE(ours.refused || ours.messages == theirs.messages) << round;
    ++(ours.refused ? refused : accepted);
  }
  EXPECT_GT(accepted, 500u);
  EXPECT_GT(refused, 200u);
}

}  // namespace
}  // namespace stockade::net
