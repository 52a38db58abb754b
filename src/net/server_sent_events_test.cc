#include "net/server_sent_events.h"

#include <gtest/gtest.h>

namespace stockade::net {

namespace {

constexpr std::string_view kStream =
    "\xef\xbb\xbf: hello\n\ndata: one\n\nevent: add\r\ndata: two\r\ndata:three\r\nid: 7\r\n\r\ndata\r\rretry: "
    "50\n\ndata: cut off\n";

std::vector<ServerSentEvent> read_in_pieces(std::string_view bytes, size_t piece) {
  ServerSentEventReader reader;
  std::vector<ServerSentEvent> events;
  for (size_t at = 0; at < bytes.size();) {
    const auto taken = reader.feed(bytes.substr(at, piece));
    EXPECT_TRUE(taken) << taken.error().message();
    if (!taken) return events;
    at += *taken;
    if (reader.has_event()) events.push_back(reader.take_event());
  }
  EXPECT_TRUE(reader.finish());
  if (reader.has_event()) events.push_back(reader.take_event());
  return events;
}

TEST(ServerSentEvents, GivesTheSameEventsHoweverTheBytesAreCut) {
  const auto whole = read_in_pieces(kStream, kStream.size());
  for (const size_t piece : {1, 2, 3, 7}) {
    const auto cut = read_in_pieces(kStream, piece);
    ASSERT_EQ(cut.size(), whole.size()) << piece;
    std::string raw;
    for (size_t i = 0; i < cut.size(); ++i) {
      EXPECT_EQ(cut[i].data, whole[i].data);
      EXPECT_EQ(cut[i].type, whole[i].type);
      EXPECT_EQ(cut[i].dispatched, whole[i].dispatched);
      raw += cut[i].raw;
    }
    EXPECT_EQ(raw, kStream) << "every byte belongs to an event";
  }
}

TEST(ServerSentEvents, ReadsLineEndsNamesAndIdsAsBrowsersDo) {
  std::vector<ServerSentEvent> dispatched;
  for (ServerSentEvent& event : read_in_pieces(kStream, kStream.size()))
    if (event.dispatched) dispatched.push_back(std::move(event));
  ASSERT_EQ(dispatched.size(), 3U);
  EXPECT_EQ(dispatched[0].data, "one");
  EXPECT_EQ(dispatched[0].type, "message");
  EXPECT_EQ(dispatched[1].data, "two\nthree");
  EXPECT_EQ(dispatched[1].type, "add");
  EXPECT_EQ(dispatched[1].last_id, "7");
  EXPECT_EQ(dispatched[2].data, "");
}

TEST(ServerSentEvents, ReplacesDataAndNothingElse) {
  const auto event = read_in_pieces("event: x\ndata: secret\nid: 3\n\n", 100).at(0);
  const auto again = read_in_pieces(with_data(event, "a\nb"), 100).at(0);
  EXPECT_EQ(again.data, "a\nb");
  EXPECT_EQ(again.type, "x");
  EXPECT_EQ(again.last_id, "3");
  EXPECT_EQ(read_in_pieces(write_server_sent_event("t", "d\ne", "1"), 100).at(0).data, "d\ne");
}

TEST(ServerSentEvents, RefusesABlockWithoutAnEnd) {
  ServerSentEventReader reader({.event = 1000, .lines = 10});
  Result<size_t> taken = 0;
  for (int i = 0; i < 200 && taken; ++i) taken = reader.feed("data: xxxxxxxxxx");
  EXPECT_FALSE(taken);
  ServerSentEventReader lines({.event = 100000, .lines = 10});
  taken = 0;
  for (int i = 0; i < 20 && taken; ++i) taken = lines.feed("data: x\n");
  EXPECT_FALSE(taken);
}

}  // namespace

}  // namespace stockade::net
