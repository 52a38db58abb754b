// PatternDatabase: many patterns, compiled by Vectorscan and ready to be scanned with. Compiling takes up to a second,
// so the build compiles what is built in and puts the result into the program (builtin/generate_main.cc): constant data
// that is used where it lies, mapped from the file and shared by all processes.
//
// An image is the memory of a database that hs_deserialize_database_at() made at a multiple of 64, behind a header that
// names the library which compiled it and the patterns. It holds no pointers, so that it may lie at any other multiple
// of 64; one that another version of the library made is refused. Compiled for a generic processor: with AVX2 or
// AVX-512 our patterns are no faster (1.21, 1.22 and 1.21 GB/s, generic first), and one image serves every machine of
// an architecture. Immutable; any thread, each with its own scratch memory. Images are trusted: they are our own
// program's text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

struct hs_database;

namespace stockade::inspect {

inline constexpr size_t kImageAlignment = 64;

using Image = std::span<const std::byte>;

struct AlignedFree {
  void operator()(std::byte* bytes) const;
};
// Zeros, at a multiple of kImageAlignment.
class ImageBuffer {
 public:
  ImageBuffer() = default;
  explicit ImageBuffer(size_t size);
  std::byte* data() { return bytes_.get(); }
  Image view() const { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<std::byte, AlignedFree> bytes_;
  size_t size_ = 0;
};

// The patterns as Vectorscan takes them: regular expressions, or literals.
struct PatternSources {
  enum class Kind : uint8_t { expressions, literals };
  Kind kind = Kind::expressions;
  std::vector<std::string> texts;
  std::vector<unsigned> ids;
  std::vector<unsigned> flags;

  void add(std::string text, size_t id, unsigned flag);
};

// Why patterns can't be compiled, and the id of the one at fault, if it is one.
struct PatternFault {
  std::string reason;
  int id = -1;
};

class PatternDatabase {
 public:
  static std::expected<PatternDatabase, PatternFault> compile(const PatternSources& sources);
  // `image` must stay where it is for as long as this is used.
  static Result<PatternDatabase> from_image(Image image);
  // From `image` if it was compiled of just these sources by the library that we have; else compiled now.
  static std::expected<PatternDatabase, PatternFault> open(Image image, const PatternSources& sources);

  const hs_database* get() const;
  Image image() const { return image_; }

 private:
  explicit PatternDatabase(Image image) : image_(image) {}
  Image image_;
  std::shared_ptr<const ImageBuffer> owned_;  // empty where the image is the program's
};

}  // namespace stockade::inspect
