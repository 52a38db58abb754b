#include "inspect/known_values.h"

#include <sodium.h>

#include <algorithm>
#include <cstring>

#include "inspect/validators.h"

namespace stockade::inspect {

namespace {

constexpr size_t kSameWindows = 8;
constexpr size_t kOpenLimit = 64;
constexpr std::string_view kForms[] = {"", "rot13", "reversed"};

std::string rot13(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    const char base = static_cast<char>(c & ~32);
    if (base >= 'A' && base <= 'Z') c = static_cast<char>((base - 'A' + 13) % 26 + 'A' + (c & 32));
  }
  return out;
}

}  // namespace

std::string fingerprint(const FingerprintKey& key, std::string_view bytes) {
  std::array<uint8_t, 16> hash;
  crypto_generichash(hash.data(), hash.size(), reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), key.data(),
                     key.size());
  char text[33];
  sodium_bin2hex(text, sizeof(text), hash.data(), hash.size());
  return std::string(text, 32);
}

Result<KnownValues> KnownValues::create(const std::vector<KnownValue>& values, const FingerprintKey& key) {
  if (values.size() > kKnownCount) return fail(ErrorKind::limit, "more than {} known values", kKnownCount);
  KnownValues known;
  known.key_ = key;
  // Odd, and not to be guessed: nobody fills the filter's places on purpose.
  std::array<uint8_t, 16> derived;
  crypto_generichash(derived.data(), derived.size(), reinterpret_cast<const uint8_t*>("filter"), 6, key.data(),
                     key.size());
  std::memcpy(&known.multiplier_, derived.data(), 8);
  known.multiplier_ |= 1;
  known.filter_.resize(kFilterBits / 64);
  for (const KnownValue& value : values) {
    if (value.value.size() < kKnownLeast)
      return std::unexpected(Error(ErrorKind::invalid_input,
                                   fmt::format("the value of {} is shorter than {} bytes", value.name, kKnownLeast))
                                 .hint("so short a value would be found everywhere: choose a longer one"));
    if (value.value.size() > kKnownLimit)
      return fail(ErrorKind::limit, "the value of {} is longer than {} bytes", value.name, kKnownLimit);
    const auto index = static_cast<uint32_t>(known.names_.size());
    known.names_.push_back({value.name, value.canary, static_cast<uint32_t>(value.value.size())});
    known.add(index, value.value, 0);
    std::string turned = rot13(value.value);
    if (turned != value.value) known.add(index, turned, 1);
    sodium_memzero(turned.data(), turned.size());
    turned.assign(value.value.rbegin(), value.value.rend());
    known.add(index, turned, 2);
    sodium_memzero(turned.data(), turned.size());
  }
  return known;
}

uint64_t KnownValues::hash(std::string_view window) const {
  std::array<uint8_t, 16> hashed;
  crypto_generichash(hashed.data(), hashed.size(), reinterpret_cast<const uint8_t*>(window.data()), window.size(),
                     key_.data(), key_.size());
  uint64_t out;
  std::memcpy(&out, hashed.data(), sizeof(out));
  return out;
}

void KnownValues::add(uint32_t value, std::string_view text, uint8_t form) {
  const auto length = static_cast<uint8_t>(std::min(text.size(), kKnownWindow));
  if (std::find(lengths_.begin(), lengths_.end(), length) == lengths_.end()) lengths_.push_back(length);
  step_ = std::min(step_, text.size() - length + 1);
  for (size_t at = 0; at + length <= text.size(); ++at) {
    uint64_t word;
    std::memcpy(&word, text.data() + at, 8);
    word *= multiplier_;
    for (const uint64_t bit : {word >> 46, word >> 28 & (kFilterBits - 1)})
      filter_[bit / 64] |= uint64_t{1} << bit % 64;
    const uint64_t hashed = hash(text.substr(at, length));
    if (windows_.count(hashed) >= kSameWindows) continue;  // one character again and again
    windows_.emplace(hashed, Window{value, static_cast<uint32_t>(at), form, length});
  }
}

inline bool KnownValues::may_begin(const char* at) const {
  uint64_t word;
  std::memcpy(&word, at, 8);
  word *= multiplier_;
  const uint64_t first = word >> 46;
  if (!(filter_[first / 64] >> first % 64 & 1)) return false;
  const uint64_t second = word >> 28 & (kFilterBits - 1);
  return filter_[second / 64] >> second % 64 & 1;
}

void KnownValues::find(std::string_view text, std::vector<Match>& matches) const {
  if (names_.empty()) return;
  struct Open {
    uint32_t value;
    uint32_t next_offset;  // the window that would go on with it
    uint8_t form;
    size_t begin;
    size_t last;  // where its last window began
    size_t end;
  };
  std::vector<Open> open;
  const auto close = [&](const Open& o) {
    const Name& name = names_[o.value];
    const size_t length = o.end - o.begin;
    const bool whole = length >= name.length;
    if (whole || length >= std::max<size_t>(kKnownPiece, (name.length + 1) / 2) || length >= 64)
      matches.push_back({o.value, o.begin, o.end, whole, kForms[o.form]});
  };
  const auto meet = [&](size_t at, const Window& window) {
    const auto same = std::find_if(open.begin(), open.end(), [&](const Open& o) {
      return o.value == window.value && o.form == window.form && o.next_offset == window.offset && o.last + 1 == at;
    });
    if (same != open.end())
      *same = {window.value, window.offset + 1, window.form, same->begin, at, at + window.length};
    else if (open.size() < kOpenLimit)
      open.push_back({window.value, window.offset + 1, window.form, at, at, at + window.length});
  };
  const auto look = [&](size_t at) {
    for (const uint8_t length : lengths_) {
      if (at + length > text.size() || !may_begin(text.data() + at)) continue;
      const auto [from, to] = windows_.equal_range(hash(text.substr(at, length)));
      for (auto it = from; it != to; ++it)
        if (it->second.length == length) meet(at, it->second);
    }
    std::erase_if(open, [&](const Open& o) {
      if (o.last == at) return false;
      close(o);
      return true;
    });
  };
  size_t next = 0;  // everything before was looked at
  for (size_t probe = step_ - 1; probe + 8 <= text.size(); probe += step_) {
    if (!may_begin(text.data() + probe)) [[likely]]
      continue;
    for (next = std::max(next, probe + 1 - step_); next + 8 <= text.size() && (next <= probe || !open.empty()); ++next)
      look(next);
    probe = next - 1;
  }
  for (const Open& o : open) close(o);
}

}  // namespace stockade::inspect
