// Every way in which a model could read a window of text: as it is seen, folded, with its letters joined, its encodings
// undone, and each hidden piece (hidden_text.h) by itself. One visitor judges the views as they come; nothing is kept.
// The number of views is bounded by kHiddenViews and the limits of injection_fold.h. Any thread.
#pragma once

#include <string_view>

#include "inspect/hidden_text.h"
#include "inspect/injection_fold.h"

namespace stockade::inspect {

inline constexpr size_t kHiddenViews = 64;  // hidden pieces read one by one

// How a view was made.
struct ViewOrigin {
  bool hidden = false;       // by markup that exists to hide
  bool half_hidden = false;  // attributes, metadata, comments of code
  bool decoded = false;
  bool disguised = false;  // folded look-alikes, joined letters, leetspeak, invisible characters inside of words
  std::string_view through;
};

struct View {
  std::string_view text;
  ViewOrigin origin;
  size_t begin = 0;  // of what it was made from, in the window
  size_t end = 0;
  bool whole = false;  // the places in it are places in the window
};

class ViewVisitor {
 public:
  virtual ~ViewVisitor() = default;
  // Whether it speaks of rot13, so that the text is read once more that way.
  virtual bool visit(const View& view) = 0;
  // Letters spelt in invisible characters, as no honest text has them.
  virtual void invisible_message(const HiddenText& piece) = 0;
};

void read_views(std::string_view window, TextFormat format, const Folder& folder, ViewVisitor& visitor);

}  // namespace stockade::inspect
