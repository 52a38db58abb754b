// Server-sent events: the same bytes give the same events however they are cut, the blocks joined are the stream, and
// an event whose data is replaced reads back with that data and nothing else changed.
//
// covers: src/net/server_sent_events.cc
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "net/server_sent_events.h"

namespace {

using namespace stockade;
using namespace stockade::net;

void require(bool condition) {
  if (!condition) std::abort();
}

std::vector<ServerSentEvent> read(std::string_view bytes, size_t piece, bool& refused) {
  ServerSentEventReader reader({.event = 2000, .lines = 40});
  std::vector<ServerSentEvent> events;
  while (!bytes.empty()) {
    const std::string exact(bytes.substr(0, piece));
    const auto taken = reader.feed(exact);
    if (!taken) {
      refused = true;
      return events;
    }
    bytes.remove_prefix(*taken);
    if (reader.has_event()) events.push_back(reader.take_event());
  }
  refused = !reader.finish();
  if (reader.has_event()) events.push_back(reader.take_event());
  return events;
}

void check_event(const ServerSentEvent& event) {
  require(event.last_id.find('\0') == std::string::npos);
  size_t at = 0;
  for (const auto& line : event.data_lines) {
    require(at <= line.line.begin && line.line.begin <= line.value.begin && line.value.begin <= line.value.end &&
            line.value.end <= line.line.end && line.line.end <= event.raw.size());
    at = line.line.end;
  }
  if (!event.dispatched) return;
  bool refused = false;
  const auto again = read(with_data(event, "first\nsecond"), SIZE_MAX, refused);
  if (refused) return;                                                    // longer than is allowed
  if (event.raw.starts_with("\xef\xbb\xbf") && event.offset > 0) return;  // text there, a mark at a stream's start
  size_t dispatched = 0;
  for (const ServerSentEvent& other : again) {
    dispatched += other.dispatched;
    require(!other.dispatched || (other.data == "first\nsecond" && other.type == event.type));
  }
  require(dispatched == 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  bool refused = false;
  const auto whole = read(bytes, bytes.size() + 1, refused);
  std::string joined;
  for (const ServerSentEvent& event : whole) {
    require(event.offset == joined.size());
    joined += event.raw;
    check_event(event);
  }
  require(refused ? bytes.starts_with(joined) : joined == bytes);
  for (size_t piece : {1, 3}) {
    bool also_refused = false;
    const auto cut = read(bytes, piece, also_refused);
    require(also_refused == refused && cut.size() == whole.size());
    for (size_t i = 0; i < cut.size(); ++i)
      require(cut[i].raw == whole[i].raw && cut[i].data == whole[i].data && cut[i].type == whole[i].type &&
              cut[i].last_id == whole[i].last_id && cut[i].dispatched == whole[i].dispatched);
  }
  const auto own = write_server_sent_event("t", bytes.substr(0, 500), "7");
  bool own_refused = false;
  const auto back = read(own, SIZE_MAX, own_refused);
  require(own_refused || (back.size() == 1 && back[0].type == "t" && back[0].last_id == "7"));
  return 0;
}
