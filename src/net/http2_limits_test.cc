// Every limit of H2Options: what it allows passes, one more does not.
#include <gtest/gtest.h>

#include <functional>

#include "net/http2_fixture.h"

namespace stockade::net {
namespace {

using namespace http2_fixture;

std::string repeat(std::string_view bytes, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += bytes;
  return out;
}

struct Flood {
  const char* name;
  std::function<void(H2FloodLimits&)> limit;  // to five
  std::function<std::string(size_t)> bytes;   // that many frames
  const char* reason;
};

std::vector<Flood> floods() {
  return {
      {"PING (CVE-2019-9512)", [](auto& l) { l.pings = 5; },
       [](size_t n) { return repeat(frame(kPing, 0, 0, "12345678"), n); }, "PING"},
      {"SETTINGS (CVE-2019-9515)", [](auto& l) { l.settings = 7; },  // two came with the preface
       [](size_t n) { return repeat(frame(kSettings, 0, 0, ""), n); }, "SETTINGS"},
      {"PRIORITY (CVE-2019-9513)", [](auto& l) { l.priorities = 5; },
       [](size_t n) { return repeat(frame(kPriority, 0, 1, "\0\0\0\0\x10"s), n); }, "PRIORITY"},
      {"WINDOW_UPDATE", [](auto& l) { l.window_updates = 5; },
       [](size_t n) { return repeat(frame(kWindowUpdate, 0, 0, number(1, 4)), n); }, "WINDOW_UPDATE"},
      {"empty DATA (CVE-2019-9518)", [](auto& l) { l.empty_frames = 5; },
       [](size_t n) { return post(1) + repeat(frame(kData, 0, 1, ""), n); }, "empty DATA"},
      {"DATA of padding alone", [](auto& l) { l.empty_frames = 5; },
       [](size_t n) { return post(1) + repeat(frame(kData, kPadded, 1, "\3xyz"), n); }, "empty DATA"},
      {"unknown frames", [](auto& l) { l.unknown_frames = 5; },
       [](size_t n) { return repeat(frame(0x77, 0, 0, "x"), n); }, "unknown"},
      {"RST_STREAM (rapid reset, CVE-2023-44487)", [](auto& l) { l.resets = 5; },
       [](size_t n) {
         std::string out;
         for (uint32_t i = 0; i < n; ++i) out += get(2 * i + 1) + frame(kResetStream, 0, 2 * i + 1, number(8, 4));
         return out;
       },
       "rapid reset"},
      {"streams that we must reset (CVE-2025-8671)", [](auto& l) { l.resets = 5; },
       [](size_t n) {
         std::string out;
         for (uint32_t i = 0; i < n; ++i) out += get(2 * i + 1, {{"connection", "x"}});
         return out;
       },
       "had to be reset"},
      {"CONTINUATION (CVE-2024-27316)", [](auto& l) { l.continuations = 5; },
       [](size_t n) {
         return frame(kHeaders, kEndStream, 1, hpack(request_fields())) +
                repeat(frame(kContinuation, 0, 1, ""), n - 1) + frame(kContinuation, kEndHeaders, 1, "");
       },
       "CONTINUATION"},
      {"HEADERS", [](auto& l) { l.heads = 5; },
       [](size_t n) {
         std::string out;
         for (uint32_t i = 0; i < n; ++i) out += get(2 * i + 1);
         return out;
       },
       "HEADERS"},
  };
}

TEST(Http2Limits, EndAFloodWithTheCodeToCalmDown) {
  for (const Flood& flood : floods()) {
    SCOPED_TRACE(flood.name);
    H2Options options = https();
    flood.limit(options.floods);
    EXPECT_EQ(feed(*started_server(options), flood.bytes(5)).error, "");
    const auto outcome = feed(*started_server(options), flood.bytes(6));
    EXPECT_NE(outcome.error.find("ENHANCE_YOUR_CALM"), std::string::npos) << outcome.error;
    EXPECT_NE(outcome.error.find(flood.reason), std::string::npos) << outcome.error;
    EXPECT_EQ(outcome.go_away, 11u);
    EXPECT_EQ(started_server(options)->feed(flood.bytes(6)).error().kind(), ErrorKind::limit);
    // And with the limits as they come: a few thousand of anything is too many.
    EXPECT_NE(feed(*started_server(), flood.bytes(5000)).error, "");
  }
}

TEST(Http2Limits, HoldForAWindowOfTime) {
  H2Options options = https();
  options.floods.pings = 5;
  auto server = started_server(options);
  server->advance(std::chrono::milliseconds(1000));
  const std::string pings = repeat(frame(kPing, 0, 0, "12345678"), 5);
  for (int i = 1; i < 20; ++i) {
    EXPECT_EQ(feed(*server, pings).error, "") << i;
    server->advance(std::chrono::milliseconds(1000 + 10'000 * i));
  }
  EXPECT_EQ(feed(*server, pings).error, "");
  server->advance(std::chrono::milliseconds(200'999));
  EXPECT_NE(feed(*server, pings).error, "") << "the window has not passed";
}

TEST(Http2Limits, LetControlFramesComeWithData) {
  H2Options options = https();
  options.floods.pings = 5;
  options.floods.window_updates = 5;
  auto server = started_server(options);
  // As a client of gRPC does: a PING and two WINDOW_UPDATEs for each DATA.
  std::string bytes = post(1);
  for (int i = 0; i < 200; ++i)
    bytes += frame(kData, 0, 1, "x") + frame(kPing, 0, 0, "12345678") + frame(kWindowUpdate, 0, 0, number(1, 4)) +
             frame(kWindowUpdate, 0, 1, number(1, 4));
  EXPECT_EQ(feed(*server, bytes).error, "");
}

TEST(Http2Limits, BoundAHead) {
  H2Options options = https();
  options.field_count = 8;
  options.header_list_size = 1000;
  options.field_size = 300;
  const auto reset = [&](const std::vector<HttpField>& more) {
    const auto outcome = feed(*started_server(options), get(1, more));
    EXPECT_EQ(outcome.error, "");
    EXPECT_EQ(outcome.only<H2Request>().size() + outcome.only<H2Reset>().size(), 1u);
    return outcome.only<H2Reset>().empty() ? std::string() : outcome.only<H2Reset>()[0].reason;
  };
  const HttpField small{"x", "y"};
  EXPECT_EQ(reset({small, small, small, small}), "");
  EXPECT_NE(reset({small, small, small, small, small}), "") << "9 fields";
  EXPECT_EQ(reset({{"x", std::string(299, 'y')}}), "");
  EXPECT_NE(reset({{"x", std::string(300, 'y')}}), "") << "301 bytes in a field";
  EXPECT_NE(reset({{"x", std::string(290, 'y')}, {"x", std::string(290, 'y')}, {"x", std::string(290, 'y')}}), "");
  EXPECT_EQ(reset({{"x", std::string(200, 'y')}, {"x", std::string(200, 'y')}, {"x", std::string(200, 'y')}}), "");
}

TEST(Http2Limits, BoundAHeadThatIsSmallOnlyWhileItIsCompressed) {
  // One long field in the table, named ten thousand times by one byte each (an HPACK bomb).
  H2Options options = https();
  options.hpack_table = 4096;
  const std::string insert = "\x40" + hpack_string("x") + hpack_string(std::string(3000, 'y'));
  const auto outcome = feed(
      *started_server(options),
      frame(kHeaders, kEndStream | kEndHeaders, 1, hpack(request_fields()) + insert + repeat("\xbe", 10'000)) + get(3));
  EXPECT_EQ(outcome.error, "");
  ASSERT_EQ(outcome.only<H2Reset>().size(), 1u);
  EXPECT_EQ(outcome.only<H2Reset>()[0].code, H2Code::enhance_your_calm);
  EXPECT_EQ(outcome.only<H2Request>().at(0).stream, 3);
}

TEST(Http2Limits, BoundTheCompressedBytesOfAHead) {
  H2Options options = https();
  options.floods.head_bytes = 200;
  EXPECT_EQ(feed(*started_server(options), get(1, {{"x", std::string(100, 'y')}})).error, "");
  const auto outcome = feed(*started_server(options), get(1, {{"x", std::string(200, 'y')}}));
  EXPECT_EQ(outcome.go_away, 11u);
  const auto parts = feed(*started_server(options), frame(kHeaders, kEndStream, 1, hpack(request_fields())) +
                                                        frame(kContinuation, 0, 1, std::string(150, 'x')));
  EXPECT_EQ(parts.go_away, 11u);
}

TEST(Http2Limits, BoundStreamsAtOnce) {
  H2Options options = https();
  options.concurrent_streams = 3;
  auto server = started_server(options);
  EXPECT_EQ(feed(*server, post(1) + post(3) + post(5)).only<H2Request>().size(), 3u);
  const auto fourth = feed(*server, post(7));
  EXPECT_EQ(fourth.go_away, 1u) << "the client knew the limit";
  // A client that can't know it yet is told to try again (RFC 9113, 5.1.2).
  auto early = H2Server::make(options).value();
  (void)early->take_output();
  const auto refused = feed(*early, kPreface + frame(kSettings, 0, 0, "") + post(1) + post(3) + post(5) + post(7));
  EXPECT_EQ(refused.error, "");
  EXPECT_EQ(refused.only<H2Request>().size(), 3u);
  EXPECT_EQ(refused.resets, (std::vector<std::pair<uint32_t, uint32_t>>{{7, 7}}));
}

TEST(Http2Limits, BoundTheBytesThatAreNotConsumed) {
  H2Options options = https();
  options.stream_window = 1000;
  options.connection_window = 65'535;
  auto server = started_server(options);
  EXPECT_EQ(feed(*server, post(1) + frame(kData, 0, 1, std::string(1000, 'x'))).error, "");
  const auto over = feed(*server, frame(kData, 0, 1, "x"));
  EXPECT_TRUE(over.go_away == 3u || (over.resets.size() == 1 && over.resets[0].second == 3u));
  options.stream_window = 65'535;
  auto wide = started_server(options);
  EXPECT_EQ(feed(*wide, post(1) + post(3) + repeat(frame(kData, 0, 1, std::string(13'107, 'x')), 4)).error, "");
  const auto all = feed(*wide, frame(kData, 0, 3, std::string(13'108, 'x')));
  EXPECT_EQ(all.go_away, 3u) << "one byte beyond the connection's window";
}

TEST(Http2Limits, BoundTheOutputThatThePeerCauses) {
  H2Options options = https();
  options.queued_output = 2000;
  auto server = started_server(options);
  std::string error;
  size_t fed = 0;
  for (; fed < 1000 && error.empty(); ++fed) {
    const auto result = server->feed(frame(kPing, 0, 0, "12345678"));
    if (!result) error = result.error().message();
  }
  EXPECT_LT(fed, 130u) << "17 bytes each";
  EXPECT_NE(error, "");
  EXPECT_LE(server->pending_output().size(), 2200u);
}

TEST(Http2Limits, TakeNoMoreOutputThanTheQueueHolds) {
  H2Options options = https();
  options.queued_output = 20'000;
  auto server = started_server(options);
  (void)feed(*server, get(1));
  ASSERT_TRUE(server->send_response(1, {.status = 200, .fields = {}, .content_length = {}}, false));
  const std::string body(30'000, 'x');
  const size_t taken = server->send_body(1, body).value();
  EXPECT_LT(taken, 10'000u);
  EXPECT_GT(taken, 9'000u);
  EXPECT_EQ(server->send_body(1, body).value(), 0u);
  EXPECT_TRUE(server->take_events().empty());
  server->drop_output(5'000);
  const auto events = server->take_events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<H2Writable>(events[0]));
  EXPECT_GT(server->send_body(1, body).value(), 4'000u);
}

TEST(Http2Limits, BoundTheTableOfHpack) {
  H2Options options = https();
  options.hpack_table = 100;
  auto server = started_server(options);
  // 3f 46: a table of 101 bytes.
  const auto outcome =
      feed(*server, frame(kHeaders, kEndStream | kEndHeaders, 1, "\x3f\x46"s + hpack(request_fields())));
  EXPECT_EQ(outcome.go_away, 9u);
  auto again = started_server(options);
  const auto fits = "\x3f\x45"s + hpack(request_fields());
  EXPECT_EQ(feed(*again, frame(kHeaders, kEndStream | kEndHeaders, 1, fits)).error, "");
}

}  // namespace
}  // namespace stockade::net
