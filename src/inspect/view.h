// View: bytes decoded from other bytes, with the way back. A finding in a view is reported by the offsets that its
// bytes have in what really leaves, however many views lie between.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stockade::inspect {

// Where each byte of the output came from: points between which input and output grow evenly. Adjacent pieces of the
// same slope share one, so that a base64 run or a row of escapes takes two points.
class OffsetMap {
 public:
  // From `output` on, bytes come from `input` on. Both never decrease.
  void add(size_t output, size_t input);
  // The input of output bytes [begin, end), rounded outwards.
  size_t begin_of(size_t begin) const;
  size_t end_of(size_t end) const;

 private:
  struct Point {
    size_t output;
    size_t input;
  };
  const Point* piece_of(size_t output) const;  // and the one behind it

  std::vector<Point> points_;
};

enum class Way : uint8_t {
  even,
  backwards,  // the last byte of the input came first
  whole,      // all of the input stands for each byte: compressed data can't be cut
};

struct View {
  std::string bytes;
  OffsetMap map;             // closed: its last point is the end of both
  std::string_view through;  // a literal: "base64"
  Way way = Way::even;

  // Where bytes [begin, end) of the view came from.
  std::pair<size_t, size_t> source_of(size_t begin, size_t end) const;
};

using Views = std::vector<View>;

// At least `length` printable ASCII bytes (or tab, line feed) one after the other.
bool has_text_run(std::string_view bytes, size_t length);

}  // namespace stockade::inspect
