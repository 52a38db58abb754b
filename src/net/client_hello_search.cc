#include "net/client_hello_search.h"

#include <algorithm>

namespace stockade::net {

namespace {

constexpr size_t kCompared = 11;  // 16 03 0v LL LL, 01 LL LL LL, 03 0v
constexpr size_t kRecordLimit = 16 * 1024;

enum class Match { no, partly, yes };

Match match_hello(std::string_view bytes) {
  const auto at = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  const size_t have = bytes.size();
  if (at(0) != 0x16 || (have > 1 && at(1) != 3) || (have > 2 && at(2) > 4)) return Match::no;
  if (have < 6) return Match::partly;
  const size_t record = static_cast<size_t>(at(3)) << 8 | at(4);
  if (record == 0 || record > kRecordLimit || at(5) != 1) return Match::no;
  if (record < 6) return Match::yes;
  if (have > 6 && at(6) != 0) return Match::no;
  if (have > 9 && at(9) != 3) return Match::no;
  if (have < kCompared) return Match::partly;
  return at(10) <= 4 ? Match::yes : Match::no;
}

}  // namespace

bool ClientHelloSearch::feed(std::string_view bytes) {
  std::string joined;
  if (!last_.empty()) {
    joined = std::move(last_);
    joined += bytes;
    bytes = joined;
  }
  last_.clear();
  for (size_t at = bytes.find('\x16'); at != std::string_view::npos; at = bytes.find('\x16', at + 1)) {
    const Match match = match_hello(bytes.substr(at));
    if (match == Match::yes) return true;
    if (match == Match::partly) {
      last_ = bytes.substr(at);
      return false;
    }
  }
  return false;
}

}  // namespace stockade::net
