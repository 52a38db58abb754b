#include "inspect/view.h"

#include <algorithm>

namespace stockade::inspect {

void OffsetMap::add(size_t output, size_t input) {
  if (!points_.empty() && points_.back().output == output) {
    // Input that gave no output belongs to what comes behind it only if nothing stands before.
    points_.back().input = points_.size() == 1 ? points_.back().input : input;
    return;
  }
  if (points_.size() >= 2) {
    const Point a = points_[points_.size() - 2];
    Point& b = points_.back();
    if ((b.output - a.output) * (input - b.input) == (output - b.output) * (b.input - a.input)) {
      b = {output, input};
      return;
    }
  }
  points_.push_back({output, input});
}

const OffsetMap::Point* OffsetMap::piece_of(size_t output) const {
  if (points_.size() < 2) return nullptr;
  auto after = std::upper_bound(points_.begin() + 1, points_.end() - 1, output,
                                [](size_t value, const Point& point) { return value < point.output; });
  return &*(after - 1);
}

size_t OffsetMap::begin_of(size_t begin) const {
  const Point* p = piece_of(begin);
  if (!p) return points_.empty() ? 0 : points_[0].input;
  return p[0].input + (begin - p[0].output) * (p[1].input - p[0].input) / (p[1].output - p[0].output);
}

size_t OffsetMap::end_of(size_t end) const {
  if (end == 0) return begin_of(0);
  const Point* p = piece_of(end - 1);
  if (!p) return points_.empty() ? 0 : points_[0].input;
  const size_t span = p[1].output - p[0].output;
  return p[0].input + ((end - p[0].output) * (p[1].input - p[0].input) + span - 1) / span;
}

std::pair<size_t, size_t> View::source_of(size_t begin, size_t end) const {
  switch (way) {
    case Way::even:
      break;
    case Way::backwards:
      return {map.begin_of(bytes.size() - end), map.end_of(bytes.size() - begin)};
    case Way::whole:
      return {map.begin_of(0), map.end_of(bytes.size())};
  }
  return {map.begin_of(begin), map.end_of(end)};
}

bool has_text_run(std::string_view bytes, size_t length) {
  size_t run = 0;
  for (const char c : bytes) {
    const bool printable = (c >= ' ' && c <= '~') || c == '\n' || c == '\t' || c == '\r';
    run = printable ? run + 1 : 0;
    if (run >= length) return true;
  }
  return false;
}

}  // namespace stockade::inspect
