#include "net/exfil_statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace stockade::net {

namespace {

constexpr size_t kShortValue = 6;  // shorter ones are flags, numbers, names: counted, never carried
constexpr size_t kSmallRequest = 2048;
constexpr size_t kFilterCapacity = 3000;  // 32768 bits, two hashes: 3 % false "seen before" when full

// A weight that grows evenly from 0 at `from` to 1 at `to`.
double ramp(double value, double from, double to) { return std::clamp((value - from) / (to - from), 0.0, 1.0); }

// SplitMix64 over the bytes (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
uint64_t hash_of(std::string_view text, uint64_t seed) {
  uint64_t hash = seed;
  for (const char c : text) {
    hash += 0x9e3779b97f4a7c15u + static_cast<uint8_t>(c);
    hash = (hash ^ hash >> 30) * 0xbf58476d1ce4e5b9u;
    hash = (hash ^ hash >> 27) * 0x94d049bb133111ebu;
    hash ^= hash >> 31;
  }
  return hash;
}

enum Alphabet : uint8_t { kDigits = 1, kHex = 2, kBase32 = 4, kLetters = 8, kBase64 = 16, kOther = 32 };

// The smallest alphabet that holds all of `value`.
uint8_t alphabet_of(std::string_view value) {
  uint8_t seen = 0;
  for (const char c : value) {
    if (c >= '0' && c <= '9') {
      seen |= kDigits;
    } else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) {
      seen |= kHex;
    } else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      seen |= kLetters;
    } else if (c == '+' || c == '/' || c == '-' || c == '_' || c == '=') {
      seen |= kBase64;
    } else {
      seen |= kOther;
    }
  }
  for (const uint8_t widest : {kOther, kBase64, kLetters, kHex, kDigits})
    if (seen & widest) return widest;
  return 0;
}

template <typename Use>
size_t each_segment(std::string_view path, Use use) {
  size_t count = 0;
  while (!path.empty() && count < kExfilValuesPerRequest) {
    const auto end = std::min(path.find('/'), path.size());
    if (end > 0) {
      use(path.substr(0, end));
      ++count;
    }
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return count;
}

}  // namespace

std::string_view exfil_sign_name(ExfilSign sign) {
  static constexpr std::array<std::string_view, 7> kNames = {"volume",     "carried_values", "novel_values", "chunks",
                                                             "long_query", "not_found",      "rhythm"};
  return kNames[static_cast<size_t>(sign)];
}

double information_bits(std::string_view value) {
  if (value.empty()) return 0;
  std::array<uint32_t, 256> counts{};
  std::array<uint64_t, 1024> digrams{};  // a small set of those that were there
  size_t repeated = 0;
  for (size_t i = 0; i < value.size(); ++i) {
    ++counts[static_cast<uint8_t>(value[i])];
    if (i + 1 == value.size()) continue;
    const auto digram = static_cast<uint32_t>(static_cast<uint8_t>(value[i])) << 8 | static_cast<uint8_t>(value[i + 1]);
    uint64_t& word = digrams[digram / 64];
    const uint64_t bit = uint64_t{1} << (digram % 64);
    if (word & bit) ++repeated;
    word |= bit;
  }
  const auto size = static_cast<double>(value.size());
  double bits = 0;
  for (const uint32_t count : counts)
    if (count > 0) bits -= count * std::log2(count / size);
  // In random base64 of ordinary length few digrams come twice; in words and paths many do. Long values fill the table
  // by themselves, so the share is only counted up to what chance gives.
  const double expected = size * size / 2 / 4096;
  const double surplus = std::max(0.0, static_cast<double>(repeated) - expected) / size;
  return bits * (1 - std::min(surplus, 0.9));
}

ExfilStatistics::Host& ExfilStatistics::host_of(std::string_view name, TimePoint now) {
  std::string key(name.substr(0, 255));
  const auto found = hosts_.find(key);
  if (found != hosts_.end()) {
    turn_window(found->second, now);
    found->second.last_seen = now;
    return found->second;
  }
  if (hosts_.size() == kExfilHostLimit)
    hosts_.erase(std::min_element(hosts_.begin(), hosts_.end(), [](const auto& a, const auto& b) {
      return a.second.last_seen < b.second.last_seen;
    }));
  Host& host = hosts_[std::move(key)];
  host.window_start = host.last_seen = now;
  return host;
}

void ExfilStatistics::turn_window(Host& host, TimePoint now) {
  const auto age = now - host.window_start;
  if (age < kExfilWindow) return;
  const bool gap = age >= 2 * kExfilWindow;
  host.usual_bytes = host.windows == 0 ? static_cast<double>(host.window.bytes)
                                       : 0.8 * host.usual_bytes + 0.2 * static_cast<double>(host.window.bytes);
  ++host.windows;
  // The window before counts as well, or what straddles the turn would be halved.
  host.before = gap ? Window{} : host.window;
  host.window = {};
  host.window_start = gap ? now : host.window_start + kExfilWindow;
}

bool ExfilStatistics::is_novel(Host& host, std::string_view value) {
  constexpr uint64_t kBits = kFilterWords * 64;
  const uint64_t hash = hash_of(value, seed_);
  const uint64_t bits[] = {hash % kBits, (hash >> 32) % kBits};
  bool seen = true;
  for (const uint64_t bit : bits) {
    uint64_t& word = host.filter[bit / 64];
    const uint64_t mask = uint64_t{1} << (bit % 64);
    seen = seen && (word & mask) != 0;
    word |= mask;
  }
  if (seen) return false;
  if (++host.filtered > kFilterCapacity) {  // forget everything rather than take all for known
    host.filter.fill(0);
    host.filtered = 0;
  }
  return true;
}

void ExfilStatistics::add_value(Host& host, std::string_view value) {
  Window& window = host.window;
  ++window.values;
  window.longest_value = std::max<uint64_t>(window.longest_value, value.size());
  if (value.size() < kShortValue || !is_novel(host, value)) return;
  ++window.novel_values;
  window.carried_bits += information_bits(value.substr(0, 16 * 1024));
  const uint8_t alphabet = alphabet_of(value);
  // Pieces of an encoded whole have no dots or other punctuation; names of files do.
  if (value.size() >= 12 && alphabet != kOther && value.size() == host.last_length && alphabet == host.last_alphabet)
    ++window.chunk_values;
  host.last_length = value.size();
  host.last_alphabet = alphabet;
}

ExfilScore ExfilStatistics::add_request(const OutboundRequest& request, TimePoint now) {
  Host& host = host_of(request.host, now);
  Window& window = host.window;
  if (window.requests + host.before.requests > 0) {
    const float seconds = std::chrono::duration<float>(now - host.last_request).count();
    host.intervals[host.interval_count++ % kIntervals] = seconds;
  }
  host.last_request = now;
  ++window.requests;
  window.bytes += request.bytes;
  if (request.bytes <= kSmallRequest) ++window.small_requests;
  each_segment(request.path, [&](std::string_view segment) { add_value(host, segment); });
  if (request.query) {
    size_t fields = 0;
    for (auto rest = *request.query; !rest.empty() && fields < kExfilValuesPerRequest; ++fields) {
      const auto end = std::min(rest.find('&'), rest.size());
      const auto field = rest.substr(0, end);
      const auto equals = field.find('=');
      add_value(host, equals == std::string_view::npos ? field : field.substr(equals + 1));
      if (equals != std::string_view::npos && equals >= 24) add_value(host, field.substr(0, equals));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    window.most_fields = std::max<uint64_t>(window.most_fields, fields);
  }
  return score_of(host);
}

ExfilScore ExfilStatistics::add_body(std::string_view host_name, uint64_t bytes, TimePoint now) {
  Host& host = host_of(host_name, now);
  host.window.bytes += bytes;
  return score_of(host);
}

void ExfilStatistics::add_answer(std::string_view host_name, int status, TimePoint now) {
  Host& host = host_of(host_name, now);
  ++host.window.answers;
  if (status == 404 || status == 410) ++host.window.not_found;
}

ExfilScore ExfilStatistics::score(std::string_view host, TimePoint now) {
  const auto found = hosts_.find(std::string(host.substr(0, 255)));
  if (found == hosts_.end()) return {};
  turn_window(found->second, now);
  return score_of(found->second);
}

ExfilScore ExfilStatistics::score_of(const Host& host) const {
  const Window &now = host.window, &before = host.before;
  ExfilScore out;
  const auto add = [&out](ExfilSign sign, double weight, std::string text) {
    if (weight > 0) out.reasons.push_back({sign, weight, std::move(text)});
  };
  const double bytes = static_cast<double>(now.bytes + before.bytes);
  const double usual = std::max(2 * host.usual_bytes, 256.0 * 1024);
  add(ExfilSign::volume, 0.6 * ramp(std::log2(bytes / usual + 1e-9), 2, 8),
      fmt::format("{} KiB went out in two minutes, {:.0f} KiB are usual", static_cast<uint64_t>(bytes) / 1024,
                  usual / 1024));

  const double carried = (now.carried_bits + before.carried_bits) / 8;
  add(ExfilSign::carried_values, 0.8 * ramp(carried, 1024, 8192),
      fmt::format("paths and queries carried {:.0f} bytes that were new and do not compress", carried));

  const double values = static_cast<double>(now.values + before.values);
  const double novel = static_cast<double>(now.novel_values + before.novel_values);
  add(ExfilSign::novel_values, 0.5 * ramp(novel / std::max(values, 1.0), 0.4, 0.9) * ramp(novel, 24, 96),
      fmt::format("{:.0f} of {:.0f} values in paths and queries were new", novel, values));

  const double chunks = static_cast<double>(now.chunk_values + before.chunk_values);
  add(ExfilSign::chunks, 0.5 * ramp(chunks, 8, 48),
      fmt::format("{:.0f} new values followed one of the same length and alphabet", chunks));

  const auto longest = static_cast<double>(std::max(now.longest_value, before.longest_value));
  const auto fields = static_cast<double>(std::max(now.most_fields, before.most_fields));
  add(ExfilSign::long_query, 0.5 * std::max(ramp(longest, 1024, 4096), ramp(fields, 48, 192)),
      fmt::format("a value of {:.0f} bytes, {:.0f} fields in one query", longest, fields));

  const double answers = static_cast<double>(now.answers + before.answers);
  const double missing = static_cast<double>(now.not_found + before.not_found);
  add(ExfilSign::not_found, 0.6 * ramp(missing, 8, 48) * ramp(missing / std::max(answers, 1.0), 0.3, 0.8),
      fmt::format("{:.0f} of {:.0f} answers were 404", missing, answers));

  const size_t count = std::min(host.interval_count, kIntervals);
  const double small = static_cast<double>(now.small_requests + before.small_requests);
  const double requests = static_cast<double>(now.requests + before.requests);
  if (count == kIntervals && small > 0.9 * requests) {
    double sum = 0, squares = 0;
    for (const float interval : host.intervals) {
      sum += interval;
      squares += static_cast<double>(interval) * interval;
    }
    const double mean = sum / kIntervals;
    const double deviation = std::sqrt(std::max(0.0, squares / kIntervals - mean * mean));
    if (mean >= 0.05)
      add(ExfilSign::rhythm, 0.4 * ramp(0.25 - deviation / mean, 0, 0.2) * ramp(novel / requests, 0.2, 0.8),
          fmt::format("small requests every {:.1f} s, give or take {:.0f} %", mean, 100 * deviation / mean));
  }

  double innocent = 1;
  for (const auto& reason : out.reasons) innocent *= 1 - reason.weight;
  out.score = 1 - innocent;
  std::sort(out.reasons.begin(), out.reasons.end(),
            [](const ExfilReason& a, const ExfilReason& b) { return a.weight > b.weight; });
  return out;
}

}  // namespace stockade::net
