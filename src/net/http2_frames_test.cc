// Framing, after the documented cases of h2spec (by their numbers), as far as they apply to a codec without a socket.
#include <gtest/gtest.h>

#include "net/http2_fixture.h"

namespace stockade::net {
namespace {

using namespace http2_fixture;

std::string settings(uint16_t id, uint32_t value) { return frame(kSettings, 0, 0, number(id, 2) + number(value, 4)); }

enum class Fate {
  fine,    // nothing is reset and the connection lives
  stream,  // a stream is reset with the code
  both,    // the connection ends with the code
};

struct FrameCase {
  const char* name;
  std::string bytes;
  Fate fate;
  H2Code code = H2Code::no_error;
};

const std::string kOpen = post(1);  // stream 1, half open
const std::string kDone = get(1);   // stream 1, ended by the client

std::vector<FrameCase> server_cases() {
  using enum H2Code;
  return {
      {"generic 2 half closed (remote): PRIORITY", kDone + frame(kPriority, 0, 1, "\0\0\0\0\x10"s), Fate::fine},
      {"generic 2 half closed (remote): WINDOW_UPDATE", kDone + frame(kWindowUpdate, 0, 1, number(10, 4)), Fate::fine},
      {"generic 2 half closed (remote): RST_STREAM", kDone + frame(kResetStream, 0, 1, number(8, 4)), Fate::fine},
      {"generic 3.3 PRIORITY on an idle stream", frame(kPriority, 0, 9, "\0\0\0\0\x10"s), Fate::fine},
      {"generic 3.7 PING", frame(kPing, 0, 0, "12345678"), Fate::fine},
      {"generic 3.8 GOAWAY", frame(kGoAway, 0, 0, number(0, 4) + number(0, 4)), Fate::fine},
      {"generic 3.9 WINDOW_UPDATE of the connection", frame(kWindowUpdate, 0, 0, number(1, 4)), Fate::fine},
      {"generic 3.10 CONTINUATION",
       frame(kHeaders, kEndStream, 1, hpack(request_fields())) +
           frame(kContinuation, kEndHeaders, 1, hpack({{"x", "y"}})),
       Fate::fine},
      {"generic 5 Huffman-coded and indexed fields",
       frame(kHeaders, kEndStream | kEndHeaders, 1,
             "\x82\x87\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"s),
       Fate::fine},
      {"4.1.1 an unknown frame type", frame(0xff, 0, 0, "12345678") + get(1), Fate::fine},
      {"4.1.2 unknown flags", frame(kPing, 0x16, 0, "12345678"), Fate::fine},
      {"4.1.3 the reserved bit of the stream", frame(kPing, 0, 0x80000000u, "12345678"), Fate::fine},
      {"4.2.1 DATA of 16,384 bytes", kOpen + frame(kData, 0, 1, std::string(16384, 'x')), Fate::fine},
      {"4.2.2 DATA longer than SETTINGS_MAX_FRAME_SIZE", kOpen + frame(kData, 0, 1, std::string(16385, 'x')),
       Fate::both, frame_size_error},
      {"4.2.3 HEADERS longer than SETTINGS_MAX_FRAME_SIZE",
       frame(kHeaders, kEndHeaders, 1, hpack(request_fields({{"x", std::string(16400, 'y')}}))), Fate::both,
       frame_size_error},
      {"4.3.1 HPACK that can't be decoded",
       frame(kHeaders, kEndStream | kEndHeaders, 1, "\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff"s), Fate::both,
       compression_error},
      {"4.3.2 PRIORITY between parts of a head",
       frame(kHeaders, kEndStream, 1, hpack(request_fields())) + frame(kPriority, 0, 1, "\0\0\0\0\x10"s), Fate::both,
       protocol_error},
      {"4.3.3 HEADERS between parts of another head", frame(kHeaders, kEndStream, 1, hpack(request_fields())) + get(3),
       Fate::both, protocol_error},
      {"hpack 2.3.3 an index beyond both tables", frame(kHeaders, kEndStream | kEndHeaders, 1, "\xff\x80\x01"s),
       Fate::both, compression_error},
      {"hpack 2.3.3 index 0", frame(kHeaders, kEndStream | kEndHeaders, 1, "\x80"s), Fate::both, compression_error},
      {"hpack 4.2 a table size change behind a field",
       frame(kHeaders, kEndStream | kEndHeaders, 1, hpack(request_fields()) + "\x3f\x61"s), Fate::both,
       compression_error},
      {"hpack 5.2 a Huffman padding of more than 7 bits",
       frame(kHeaders, kEndStream | kEndHeaders, 1,
             hpack(request_fields()) + "\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff"s),
       Fate::both, compression_error},
      {"hpack 5.2 a Huffman-coded end of string",
       frame(kHeaders, kEndStream | kEndHeaders, 1,
             hpack(request_fields()) + "\x00\x87\xff\xff\xff\xff\xff\xff\xff\x01x"s),
       Fate::both, compression_error},
      {"hpack 6.3 a table larger than SETTINGS_HEADER_TABLE_SIZE",
       frame(kHeaders, kEndStream | kEndHeaders, 1, "\x3f\xe1\xff\x03"s + hpack(request_fields())), Fate::both,
       compression_error},
      {"5.1.1 DATA on an idle stream", frame(kData, 0, 1, "x"), Fate::both, protocol_error},
      {"5.1.2 RST_STREAM on an idle stream", frame(kResetStream, 0, 1, number(8, 4)), Fate::both, protocol_error},
      {"5.1.3 WINDOW_UPDATE on an idle stream", frame(kWindowUpdate, 0, 1, number(100, 4)), Fate::both, protocol_error},
      {"5.1.4 CONTINUATION on an idle stream", frame(kContinuation, kEndHeaders, 1, hpack({{"x", "y"}})), Fate::both,
       protocol_error},
      {"5.1.5 half closed (remote): DATA", kDone + frame(kData, kEndStream, 1, "x"), Fate::both, stream_closed},
      {"5.1.6 half closed (remote): HEADERS", kDone + get(1), Fate::both, stream_closed},
      {"5.1.7 half closed (remote): CONTINUATION", kDone + frame(kContinuation, kEndHeaders, 1, ""), Fate::both,
       protocol_error},
      {"5.1.8 closed by RST_STREAM: DATA", kOpen + frame(kResetStream, 0, 1, number(8, 4)) + frame(kData, 0, 1, "x"),
       Fate::fine},
      {"5.1.1.1 a stream with an even number", get(2), Fate::both, protocol_error},
      {"5.3.1 HEADERS that depend on their own stream",
       frame(kHeaders, kEndStream | kEndHeaders | kPriorityFlag, 1, number(1, 4) + "\xff"s + hpack(request_fields())),
       Fate::both, protocol_error},
      {"5.4.1 an invalid frame ends the connection", frame(kPing, 0, 1, "12345678"), Fate::both, protocol_error},
      {"5.5.2 an unknown frame between parts of a head",
       frame(kHeaders, kEndStream, 1, hpack(request_fields())) + frame(0xff, 0, 0, ""), Fate::both, protocol_error},
      {"6.1.1 DATA on stream 0", frame(kData, 0, 0, "x"), Fate::both, protocol_error},
      {"6.1.3 DATA with more padding than payload", kOpen + frame(kData, kPadded, 1, "\x09xxx"s), Fate::both,
       protocol_error},
      {"6.2.2 HEADERS on stream 0", head(0, request_fields(), true), Fate::both, protocol_error},
      {"6.2.3 HEADERS with more padding than payload",
       frame(kHeaders, kEndHeaders | kEndStream | kPadded, 1, "\xff"s + hpack(request_fields())), Fate::both,
       protocol_error},
      {"6.3.1 PRIORITY on stream 0", frame(kPriority, 0, 0, "\0\0\0\0\x10"s), Fate::both, protocol_error},
      {"6.3.2 PRIORITY of 4 bytes", kOpen + frame(kPriority, 0, 1, "\0\0\0\1"s), Fate::both, frame_size_error},
      {"6.4.1 RST_STREAM on stream 0", frame(kResetStream, 0, 0, number(8, 4)), Fate::both, protocol_error},
      {"6.4.3 RST_STREAM of 3 bytes", kOpen + frame(kResetStream, 0, 1, "\0\0\0"s), Fate::both, frame_size_error},
      {"6.5.1 a SETTINGS ACK with a payload", frame(kSettings, kAck, 0, "\0"s), Fate::both, frame_size_error},
      {"6.5.2 SETTINGS on a stream", frame(kSettings, 0, 1, number(3, 2) + number(100, 4)), Fate::both, protocol_error},
      {"6.5.3 SETTINGS of 3 bytes", frame(kSettings, 0, 0, "\0\0\0"s), Fate::both, frame_size_error},
      {"6.5.2.1 ENABLE_PUSH other than 0 and 1", settings(2, 2), Fate::both, protocol_error},
      {"6.5.2.2 INITIAL_WINDOW_SIZE beyond 2^31-1", settings(4, 0x80000000u), Fate::both, flow_control_error},
      {"6.5.2.3 MAX_FRAME_SIZE below 16,384", settings(5, 16383), Fate::both, protocol_error},
      {"6.5.2.4 MAX_FRAME_SIZE beyond 2^24-1", settings(5, 16777216), Fate::both, protocol_error},
      {"6.5.2.5 an unknown setting", settings(0xff, 1), Fate::fine},
      {"8441 3 ENABLE_CONNECT_PROTOCOL of a client", settings(8, 1), Fate::fine},
      {"8441 3 ENABLE_CONNECT_PROTOCOL other than 0 and 1", settings(8, 2), Fate::both, protocol_error},
      {"6.7.1 a PING ACK that nobody asked for", frame(kPing, kAck, 0, "12345678"), Fate::fine},
      {"6.7.3 PING on a stream", frame(kPing, 0, 1, "12345678"), Fate::both, protocol_error},
      {"6.7.4 PING of 6 bytes", frame(kPing, 0, 0, "123456"), Fate::both, frame_size_error},
      {"6.8.1 GOAWAY on a stream", frame(kGoAway, 0, 1, number(0, 8)), Fate::both, protocol_error},
      {"6.9.1 WINDOW_UPDATE of 0 for the connection", frame(kWindowUpdate, 0, 0, number(0, 4)), Fate::both,
       protocol_error},
      // RFC 9113 would be content with a reset; nghttp2 ends the connection.
      {"6.9.2 WINDOW_UPDATE of 0 for a stream", kOpen + frame(kWindowUpdate, 0, 1, number(0, 4)), Fate::both,
       protocol_error},
      {"6.9.3 WINDOW_UPDATE of 3 bytes", frame(kWindowUpdate, 0, 0, "\0\0\1"s), Fate::both, frame_size_error},
      {"6.9.1.2 the connection's window beyond 2^31-1", frame(kWindowUpdate, 0, 0, number(0x7fffffff, 4)), Fate::both,
       flow_control_error},
      {"6.9.1.3 a stream's window beyond 2^31-1", kOpen + frame(kWindowUpdate, 0, 1, number(0x7fffffff, 4)),
       Fate::stream, flow_control_error},
      // RFC 9113 ends the connection; nghttp2 is content with a reset.
      {"6.9.2.3 a window beyond 2^31-1 by SETTINGS",
       kOpen + frame(kWindowUpdate, 0, 1, number(1, 4)) + settings(4, 0x7fffffff), Fate::stream, flow_control_error},
      {"6.10.2 CONTINUATION behind the end of a head", get(1) + frame(kContinuation, kEndHeaders, 1, ""), Fate::both,
       protocol_error},
      {"6.10.4 CONTINUATION on stream 0",
       frame(kHeaders, kEndStream, 1, hpack(request_fields())) + frame(kContinuation, kEndHeaders, 0, ""), Fate::both,
       protocol_error},
      {"6.10.5 CONTINUATION on another stream",
       frame(kHeaders, kEndStream, 1, hpack(request_fields())) + frame(kContinuation, kEndHeaders, 3, ""), Fate::both,
       protocol_error},
      {"6.10.6 DATA between parts of a head",
       kOpen + frame(kHeaders, kEndStream, 3, hpack(request_fields())) + frame(kData, 0, 1, "x"), Fate::both,
       protocol_error},
      {"7.1 GOAWAY with an unknown code", frame(kGoAway, 0, 0, number(0, 4) + number(0xff, 4)), Fate::fine},
      {"7.2 RST_STREAM with an unknown code", kOpen + frame(kResetStream, 0, 1, number(0xff, 4)), Fate::fine},
      {"8.1.1 a second HEADERS without END_STREAM", kOpen + head(1, {{"x", "y"}}, false), Fate::stream, protocol_error},
      {"8.2.1 PUSH_PROMISE of a client",
       kOpen + frame(kPushPromise, kEndHeaders, 1, number(2, 4) + hpack(request_fields())), Fate::both, protocol_error},
  };
}

void expect_fate(const FrameCase& one, const Outcome& outcome) {
  SCOPED_TRACE(one.name);
  const auto code = static_cast<uint32_t>(one.code);
  switch (one.fate) {
    case Fate::fine:
      EXPECT_EQ(outcome.error, "");
      EXPECT_FALSE(outcome.go_away.has_value());
      EXPECT_TRUE(outcome.resets.empty());
      break;
    case Fate::stream:
      EXPECT_EQ(outcome.error, "");
      ASSERT_EQ(outcome.resets.size(), 1u);
      EXPECT_EQ(outcome.resets[0].second, code);
      EXPECT_EQ(outcome.only<H2Reset>().size(), 1u);
      break;
    case Fate::both:
      EXPECT_NE(outcome.error, "");
      ASSERT_TRUE(outcome.go_away.has_value()) << outcome.error;
      EXPECT_EQ(*outcome.go_away, code) << outcome.error;
      break;
  }
}

TEST(Http2Frames, AServerMeetsTheCasesOfH2spec) {
  for (const FrameCase& one : server_cases()) {
    auto server = started_server();
    expect_fate(one, feed(*server, one.bytes));
    // However the bytes are cut.
    auto pieces = started_server();
    Outcome all;
    for (char byte : one.bytes) {
      auto outcome = feed(*pieces, std::string(1, byte));
      if (!all.error.empty()) break;
      all.error = outcome.error;
      if (outcome.go_away) all.go_away = outcome.go_away;
      all.resets.insert(all.resets.end(), outcome.resets.begin(), outcome.resets.end());
      for (auto& event : outcome.events) all.events.push_back(std::move(event));
    }
    expect_fate(one, all);
  }
}

TEST(Http2Frames, AServerRefusesAnotherPreface) {
  for (const std::string& bytes : {"GET / HTTP/1.1\r\nHost: a\r\n\r\n"s, "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"s,
                                   kPreface + frame(kPing, 0, 0, "12345678"), kPreface + get(1)}) {
    auto server = H2Server::make(https()).value();
    const auto outcome = feed(*server, bytes);
    EXPECT_NE(outcome.error, "") << bytes;
    EXPECT_EQ(outcome.go_away, 1u) << bytes;
    EXPECT_TRUE(outcome.only<H2Request>().empty());
  }
}

TEST(Http2Frames, AClientRefusesWhatOnlyClientsSay) {
  using enum H2Code;
  const FrameCase cases[] = {
      {"5.1 DATA in front of a head", frame(kData, 0, 1, "x"), Fate::both, protocol_error},
      {"5.1 HEADERS on a stream that was never opened", head(3, {{":status", "200"}}, true), Fate::both,
       protocol_error},
      {"5.1.1 HEADERS on a server's stream", head(2, {{":status", "200"}}, true), Fate::both, protocol_error},
      {"6.5.2 ENABLE_PUSH of a server", settings(2, 1), Fate::both, protocol_error},
      {"6.6 PUSH_PROMISE, which was turned off",
       frame(kPushPromise, kEndHeaders, 1, number(2, 4) + hpack(request_fields())), Fate::both, protocol_error},
      {"8441 3 taking ENABLE_CONNECT_PROTOCOL back", settings(8, 0), Fate::both, protocol_error},
      {"8.1 a trailer without END_STREAM", head(1, {{":status", "200"}}, false) + head(1, {{"x", "y"}}, false),
       Fate::stream, protocol_error},
      {"6.1 DATA behind the end", head(1, {{":status", "200"}}, true) + frame(kData, 0, 1, "x"), Fate::fine},
      {"7.1 RST_STREAM of the server", frame(kResetStream, 0, 1, number(11, 4)), Fate::fine},
  };
  for (const FrameCase& one : cases) {
    auto client = started_client();
    expect_fate(one, feed(*client, one.bytes));
  }
  auto fresh = H2Client::make(https()).value();
  (void)fresh->take_output();
  const auto outcome = feed(*fresh, frame(kPing, 0, 0, "12345678"));
  EXPECT_EQ(outcome.go_away, 1u) << "3.4 a server's preface is SETTINGS";
}

// h2spec 5.1.1.2 wants an error; nghttp2 can't tell such a stream from one that was closed, and ignores it.
TEST(Http2Frames, AStreamNumberSmallerThanOneBeforeOpensNothing) {
  auto server = started_server();
  const auto outcome = feed(*server, get(5) + get(3));
  ASSERT_EQ(outcome.only<H2Request>().size(), 1u);
  EXPECT_EQ(outcome.only<H2Request>()[0].stream, 5);
  EXPECT_EQ(server->open_streams(), 1u);
}

TEST(Http2Frames, AnEndedConnectionStaysEnded) {
  auto server = started_server();
  const auto first = feed(*server, frame(kPing, 0, 1, "12345678"));
  EXPECT_NE(first.error, "");
  EXPECT_TRUE(server->failed());
  const auto second = feed(*server, get(1));
  EXPECT_EQ(second.error, first.error);
  EXPECT_TRUE(second.events.empty());
  EXPECT_FALSE(server->send_body(1, "x"));
  EXPECT_FALSE(server->finish());
  server->reset(1, H2Code::cancel);
  server->consume(1, 10);
  server->go_away(H2Code::no_error);
  EXPECT_TRUE(server->take_output().empty());
}

}  // namespace
}  // namespace stockade::net
