// Values that are known and must not leave: the run's own secrets, the host user's, canaries. None is kept: of each,
// only keyed fingerprints of its windows (every 12 bytes that follow one another, or all of a shorter value), as they
// stand, in ROT13 and backwards. Other encodings are undone by the decoders, and the views looked through like the raw
// bytes.
//
// Looking costs one multiplication and one look into 32 KiB for each fifth byte (more often where a value is shorter
// than 16 bytes): what must be found has so many windows in a row that one of them begins there. The first filter is
// fast and not keyed well; what passes it is compared by BLAKE2b under the engine's key.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "inspect/finding.h"

namespace stockade::inspect {

inline constexpr size_t kKnownLeast = 8;          // shorter values would be found everywhere
inline constexpr size_t kKnownLimit = 64 * 1024;  // of one value
inline constexpr size_t kKnownWindow = 12;
inline constexpr size_t kKnownPiece = 16;  // the shortest piece of a longer value that is found
inline constexpr size_t kKnownCount = 4096;

struct KnownValue {
  std::string name;  // what a finding calls it: "ANTHROPIC_API_KEY"; never the value
  std::string_view value;
  bool canary = false;
};

using FingerprintKey = std::array<uint8_t, 32>;

// Hex of keyed BLAKE2b, 16 bytes.
std::string fingerprint(const FingerprintKey& key, std::string_view bytes);

class KnownValues {
 public:
  struct Match {
    uint32_t value = 0;  // index into names()
    size_t begin = 0;
    size_t end = 0;
    bool whole = false;        // else a piece of at least half the value, or 16 bytes
    std::string_view through;  // "", "rot13" or "reversed"
  };
  struct Name {
    std::string name;
    bool canary = false;
    uint32_t length = 0;
  };

  static Result<KnownValues> create(const std::vector<KnownValue>& values, const FingerprintKey& key);
  bool empty() const { return names_.empty(); }
  const std::vector<Name>& names() const { return names_; }
  void find(std::string_view text, std::vector<Match>& matches) const;

 private:
  struct Window {
    uint32_t value;
    uint32_t offset;
    uint8_t form;  // 0 plain, 1 rot13, 2 reversed
    uint8_t length;
  };
  static constexpr size_t kFilterBits = 1 << 18;

  void add(uint32_t value, std::string_view text, uint8_t form);
  bool may_begin(const char* at) const;
  uint64_t hash(std::string_view window) const;

  FingerprintKey key_{};
  uint64_t multiplier_ = 1;
  std::vector<uint64_t> filter_;
  std::unordered_multimap<uint64_t, Window> windows_;
  std::vector<uint8_t> lengths_;                  // of windows: 12, and those of shorter values
  size_t step_ = kKnownPiece - kKnownWindow + 1;  // windows that whatever must be found has, at least
  std::vector<Name> names_;
};

}  // namespace stockade::inspect
