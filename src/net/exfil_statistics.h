// Exfiltration that no pattern shows, seen in numbers: how much a run sends to each host, how much that nobody sent
// there before, in how many pieces and at what rhythm. A run tells each request and each answer; a score from 0 to 1
// comes back, with its reasons. It is a suspicion, not a verdict: the threshold is the policy's.
//
// State is bounded: kExfilHostLimit hosts (the one that was longest silent is forgotten; its successor begins with a
// novel host's score), for each a window of counters and a filter of what it was sent (4 KiB). Time is the caller's
// monotonic clock. Not seen: what leaves slower than a window can tell from ordinary use, and what hides in the content
// of allowed uploads. One thread; one object a run.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"

namespace stockade::net {

inline constexpr size_t kExfilHostLimit = 256;
inline constexpr size_t kExfilValuesPerRequest = 256;  // of path and query; the rest counts as bytes only
inline constexpr Duration kExfilWindow = std::chrono::seconds(60);

struct OutboundRequest {
  std::string_view host;  // canonical
  std::string_view path;  // normalised or raw, without the query
  std::optional<std::string_view> query;
  uint64_t bytes = 0;  // head and body
};

enum class ExfilSign : uint8_t {
  volume,          // many bytes in a window, against the windows before
  carried_values,  // novel, incompressible bytes in paths and queries
  novel_values,    // nearly everything in many requests is new
  chunks,          // novel values of one length and alphabet, one after the other
  long_query,      // one request with very many or very long query values
  not_found,       // many answers 404: the path was not meant to exist
  rhythm           // many small requests at even intervals
};
std::string_view exfil_sign_name(ExfilSign sign);

struct ExfilReason {
  ExfilSign sign = ExfilSign::volume;
  double weight = 0;  // 0 to 1
  std::string text;   // with numbers; holds nothing that was sent
};

struct ExfilScore {
  double score = 0;                  // 1 - product of (1 - weight)
  std::vector<ExfilReason> reasons;  // the heaviest first
};

// Bits in the bytes of `value` by their frequencies (order 0), lowered where digrams repeat: what a compressor could
// not take away, roughly. 0 for an empty value.
double information_bits(std::string_view value);

class ExfilStatistics {
 public:
  // `seed` keeps others from choosing values that look as if they had been sent before.
  explicit ExfilStatistics(uint64_t seed) : seed_(seed) {}

  ExfilScore add_request(const OutboundRequest& request, TimePoint now);
  // What followed a request's head, as it goes.
  ExfilScore add_body(std::string_view host, uint64_t bytes, TimePoint now);
  void add_answer(std::string_view host, int status, TimePoint now);
  ExfilScore score(std::string_view host, TimePoint now);
  size_t hosts() const { return hosts_.size(); }

 private:
  static constexpr size_t kFilterWords = 512;
  static constexpr size_t kIntervals = 32;

  struct Window {
    uint64_t bytes = 0;
    uint64_t requests = 0;
    uint64_t small_requests = 0;
    uint64_t values = 0;
    uint64_t novel_values = 0;
    uint64_t chunk_values = 0;
    double carried_bits = 0;
    uint64_t answers = 0;
    uint64_t not_found = 0;
    uint64_t longest_value = 0;
    uint64_t most_fields = 0;
  };
  struct Host {
    Window window, before;
    TimePoint window_start{};
    TimePoint last_request{};
    TimePoint last_seen{};
    double usual_bytes = 0;  // of a window, moving average
    size_t windows = 0;
    std::array<uint64_t, kFilterWords> filter{};
    size_t filtered = 0;
    std::array<float, kIntervals> intervals{};  // seconds
    size_t interval_count = 0;
    size_t last_length = 0;
    uint8_t last_alphabet = 0;
  };

  Host& host_of(std::string_view name, TimePoint now);
  void turn_window(Host& host, TimePoint now);
  void add_value(Host& host, std::string_view value);
  bool is_novel(Host& host, std::string_view value);
  ExfilScore score_of(const Host& host) const;

  uint64_t seed_;
  std::unordered_map<std::string, Host> hosts_;
};

}  // namespace stockade::net
