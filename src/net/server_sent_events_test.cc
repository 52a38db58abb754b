#include "net/server_sent_events.h"

#include <gtest/gtest.h>

namespace stockade::net {
namespace {

using namespace std::string_literals;

std::vector<ServerSentEvent> read(std::string_view bytes, size_t piece = SIZE_MAX,
                                  const ServerSentEventLimits& limits = {}) {
  ServerSentEventReader reader(limits);
  std::vector<ServerSentEvent> events;
  while (!bytes.empty()) {
    const auto taken = reader.feed(bytes.substr(0, piece));
    if (!taken) return events;
    bytes.remove_prefix(*taken);
    if (reader.has_event()) events.push_back(reader.take_event());
  }
  EXPECT_TRUE(reader.finish());
  if (reader.has_event()) events.push_back(reader.take_event());
  return events;
}

// "type:data" of what a browser would see.
std::vector<std::string> seen(const std::vector<ServerSentEvent>& events) {
  std::vector<std::string> out;
  for (const auto& event : events)
    if (event.dispatched) out.push_back(event.type + ":" + event.data);
  return out;
}

struct Case {
  const char* name;
  std::string bytes;
  std::vector<std::string> expected;
};

const Case kCases[] = {
    {"one event", "data: hello\n\n", {"message:hello"}},
    {"without the space", "data:hello\n\n", {"message:hello"}},
    {"with two spaces", "data:  hello\n\n", {"message: hello"}},
    {"several lines", "data: YHOO\ndata: +2\ndata: 10\n\n", {"message:YHOO\n+2\n10"}},
    {"a type", "event: add\ndata: 73857293\n\n", {"add:73857293"}},
    {"the standard's example of comments and ids",
     ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
     {"message:first event", "message:second event", "message: third event"}},
    {"the standard's example of empty data", "data\n\ndata\ndata\n\ndata:", {"message:", "message:\n"}},
    {"the standard's example of spaces", "data:test\n\ndata: test\n\n", {"message:test", "message:test"}},
    {"CRLF", "data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n", {"message:a\nb", "message:c"}},
    {"CR", "data: a\rdata: b\r\rdata: c\r\r", {"message:a\nb", "message:c"}},
    {"line ends of all kinds", "data: a\rdata: b\ndata: c\r\n\n", {"message:a\nb\nc"}},
    {"CR, and an LF behind an event", "data: a\r\r\ndata: b\n\n", {"message:a", "message:b"}},
    {"a byte order mark",
     "\xef\xbb\xbf"
     "data: a\n\n",
     {"message:a"}},
    {"a second byte order mark is text",
     "\xef\xbb\xbf\xef\xbb\xbf"
     "data: a\n\n",
     {}},
    {"a byte order mark later is text",
     "data: a\n\n\xef\xbb\xbf"
     "data: b\n\n",
     {"message:a"}},
    {"a type without data", "event: x\n\n", {}},
    {"an unknown field", "foo: bar\ndata: a\n\n", {"message:a"}},
    {"field names are case-sensitive", "Data: a\n\n", {}},
    {"a space in front of a field", " data: a\n\n", {}},
    {"a comment between", "data: a\n: note\ndata: b\n\n", {"message:a\nb"}},
    {"the last of two types", "event: a\nevent: b\ndata: c\n\n", {"b:c"}},
    {"an event that is not complete", "data: a\n\ndata: b\n", {"message:a"}},
    {"an event without its last line's end", "data: a\n\ndata: b", {"message:a"}},
    {"a colon in the data", "data: a: b\n\n", {"message:a: b"}},
    {"many empty lines", "\n\n\n\ndata: a\n\n\n\n", {"message:a"}},
    {"nothing", "", {}},
};

TEST(ServerSentEvents, ReadsTheFormatHoweverItIsCut) {
  for (const Case& one : kCases) {
    SCOPED_TRACE(one.name);
    const auto whole = read(one.bytes);
    EXPECT_EQ(seen(whole), one.expected);
    for (size_t piece : {1, 2, 3, 5}) {
      const auto cut = read(one.bytes, piece);
      EXPECT_EQ(seen(cut), one.expected);
      ASSERT_EQ(cut.size(), whole.size());
      for (size_t i = 0; i < cut.size(); ++i) EXPECT_EQ(cut[i].raw, whole[i].raw);
    }
  }
}

TEST(ServerSentEvents, GivesEachByteToExactlyOneBlock) {
  for (const Case& one : kCases) {
    std::string joined;
    for (const auto& event : read(one.bytes, 3)) {
      EXPECT_EQ(event.offset, joined.size()) << one.name;
      joined += event.raw;
    }
    EXPECT_EQ(joined, one.bytes) << one.name;
  }
}

TEST(ServerSentEvents, KeepsAnEventThatComesInPieces) {
  ServerSentEventReader reader;
  EXPECT_EQ(reader.feed("data: hel").value(), 9u);
  EXPECT_FALSE(reader.has_event());
  EXPECT_EQ(reader.feed("lo\n").value(), 3u);
  EXPECT_FALSE(reader.has_event());
  EXPECT_EQ(reader.feed("\ndata: next").value(), 1u) << "up to the end of the block";
  ASSERT_TRUE(reader.has_event());
  EXPECT_EQ(reader.take_event().data, "hello");
}

TEST(ServerSentEvents, LetsAKeepAliveCommentPassAtOnce) {
  ServerSentEventReader reader;
  ASSERT_TRUE(reader.feed(": ping\n"));
  ASSERT_TRUE(reader.has_event());
  EXPECT_EQ(reader.take_event().raw, ": ping\n");
  ASSERT_TRUE(reader.feed("data: a\n: not now\n"));
  EXPECT_FALSE(reader.has_event());
}

TEST(ServerSentEvents, DoesNotWaitBehindALoneCr) {
  ServerSentEventReader reader;
  ASSERT_TRUE(reader.feed("data: a\rdata: b\r\r"));
  EXPECT_TRUE(reader.has_event());
}

TEST(ServerSentEvents, KnowsIdsAndRetry) {
  const auto events =
      read("id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\nid: x\0y\ndata: d\n\nretry: 3000\ndata: e\n\nretry: 3x\n\n"s);
  ASSERT_EQ(events.size(), 6u);
  EXPECT_EQ(events[0].last_id, "1");
  EXPECT_EQ(events[1].last_id, "1") << "it stays";
  EXPECT_EQ(events[2].last_id, "");
  EXPECT_EQ(events[3].last_id, "") << "one with NUL is ignored";
  EXPECT_EQ(events[4].retry, 3000u);
  EXPECT_FALSE(events[5].retry);
}

TEST(ServerSentEvents, TellsWhatWasLeftAtTheEnd) {
  const auto events = read("data: a\n\nevent: x\ndata: secret");
  ASSERT_EQ(events.size(), 2u);
  EXPECT_FALSE(events[1].complete);
  EXPECT_FALSE(events[1].dispatched);
  EXPECT_EQ(events[1].data, "secret") << "readers exist that would take it";
}

TEST(ServerSentEvents, SaysWhereTheDataStands) {
  const auto events = read(
      "\xef\xbb\xbf"
      "data: one\r\nevent: t\r\ndata:two\r\n\r\n");
  ASSERT_EQ(events.size(), 1u);
  const auto& event = events[0];
  ASSERT_EQ(event.data_lines.size(), 2u);
  const auto text = [&](ByteRange range) { return event.raw.substr(range.begin, range.end - range.begin); };
  EXPECT_EQ(text(event.data_lines[0].line), "data: one\r\n");
  EXPECT_EQ(text(event.data_lines[0].value), "one");
  EXPECT_EQ(text(event.data_lines[1].line), "data:two\r\n");
  EXPECT_EQ(text(event.data_lines[1].value), "two");
}

TEST(ServerSentEvents, ReplacesDataInPlace) {
  const auto event = read("id: 7\r\ndata: one\r\n: note\r\ndata: two\r\nevent: t\r\n\r\n").at(0);
  const std::string replaced = with_data(event, "[redacted]");
  EXPECT_EQ(replaced, "id: 7\r\ndata: [redacted]\r\n: note\r\nevent: t\r\n\r\n");
  EXPECT_EQ(read(replaced).at(0).type, "t");
  const std::string lines = with_data(event, "a\nb\rc\r\nd");
  EXPECT_EQ(read(lines).at(0).data, "a\nb\nc\nd");
  for (const char* mixed : {"data: a\rdata: b\n\n", "data: a\n: c\rdata: b\n\n", "data: a\r: c\rdata: b\r\n\n"})
    EXPECT_EQ(seen(read(with_data(read(mixed).at(0), "x\ny"))), (std::vector<std::string>{"message:x\ny"})) << mixed;
  const auto none = read("event: t\n\n").at(0);
  EXPECT_EQ(with_data(none, "x"), none.raw);
  const std::string own = write_server_sent_event("error\ndata: injected", "a\n\nevent: evil\n\nb", "1\r2");
  const auto back = read(own);
  ASSERT_EQ(back.size(), 1u) << own;
  EXPECT_EQ(back[0].type, "error");
  EXPECT_EQ(back[0].data, "a\n\nevent: evil\n\nb");
  EXPECT_EQ(back[0].last_id, "1");
}

TEST(ServerSentEvents, RemovesAnEventWithoutChangingTheNext) {
  const auto events = read(
      "data: first\n\n\xef\xbb\xbf"
      "data: second\n\ndata: third\n\n");
  ASSERT_EQ(events.size(), 3u);
  EXPECT_FALSE(events[1].dispatched);
  EXPECT_EQ(seen(read(std::string(kRemovedServerSentEvent) + events[1].raw + events[2].raw)),
            (std::vector<std::string>{"message:third"}));
}

TEST(ServerSentEvents, KeepsItsLimits) {
  const ServerSentEventLimits limits{.event = 20, .lines = 3};
  EXPECT_EQ(read("data: 0123456789AB\n\n", 1, limits).size(), 1u);
  EXPECT_TRUE(read("data: 0123456789ABC\n\n", 1, limits).empty());
  EXPECT_EQ(read("data\ndata\n\n", 1, limits).size(), 1u);
  EXPECT_TRUE(read("data\nd\nd\n\n", 1, limits).empty());
  ServerSentEventReader reader(limits);
  EXPECT_EQ(reader.feed(std::string(21, 'x')).error().kind(), ErrorKind::limit);
  EXPECT_FALSE(reader.feed("\n\n")) << "it stays refused";
  EXPECT_FALSE(reader.finish());
}

}  // namespace
}  // namespace stockade::net
