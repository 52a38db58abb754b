// The views of a text in which instructions to a model are looked for. fold() brings every spelling of a letter to one:
// NFKC, case and combining marks removed, default-ignorable code points (zero width, bidi controls, tags, variation
// selectors) left out, look-alike spaces and quotes made plain, and in words that mix scripts each look-alike letter
// made Latin (UTS 39). The other views exist only where raw bytes ask for them: letters spaced out, leetspeak, and runs
// of base64, hex or rot13. Every view is at most as long as a small multiple of its text; nothing nests deeper than the
// caller asks again. Pure functions of bytes, any thread; not UTF-8 is passed through byte by byte.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stockade::inspect {

struct Confusable {
  uint32_t code_point;
  char latin;
};
std::span<const Confusable> confusables();  // by code point

struct FoldedText {
  std::string text;
  size_t invisible = 0;      // default-ignorable code points left out inside of words
  size_t mixed_scripts = 0;  // words with Latin letters and look-alikes of others
};

// A table of what each code point of the common blocks folds to. One serves any number of threads.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(Folder&&) noexcept;
  Folder& operator=(Folder&&) noexcept;

  FoldedText fold(std::string_view text) const;

 private:
  struct Table;
  std::unique_ptr<Table> table_;
};

bool is_ascii(std::string_view text);

// "i g n o r e   a l l" as "ignore all": the pieces of `text` in which at least eight single letters stand apart,
// joined by "\n". Empty when there are none.
std::string joined_letters(std::string_view text);
// "1gn0r3 pr3v10us" with its letters. Empty unless at least two words hold digits or signs between letters.
std::string without_leet(std::string_view text);

enum class Encoding { base64, hex, rot13, percent };
struct DecodedRun {
  Encoding encoding;
  size_t begin = 0;
  size_t end = 0;
  std::string text;
};
inline constexpr size_t kDecodedRunLimit = 16;  // runs a view
// Runs of base64 (either alphabet, also broken into lines), hex and percent escapes that decode to text, and the whole
// as rot13 where the caller saw a reason.
std::vector<DecodedRun> decoded_runs(std::string_view text, bool with_rot13);

}  // namespace stockade::inspect
