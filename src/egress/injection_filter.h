// The search for orders to the model in what comes back (inspect/injection.h), over a body of any length. Text is judged
// in windows that overlap, and let go once it was judged; what has left still gives context to what follows. Where the
// head does not say that this is text, bytes that are none (NUL, not UTF-8) are let through unread. One thread, one body.
#pragma once

#include "egress/body_filter.h"
#include "inspect/injection.h"

namespace stockade::egress {

struct InjectionOptions {
  std::optional<inspect::TextFormat> format;  // none: guessed
  bool may_be_binary = false;                 // its first bytes decide
  bool events = false;                        // an event stream: each event is let go at its end
  bool stops = true;                          // what is found for certain; the rest is logged
};

// `detector` outlives the filter.
std::unique_ptr<BodyFilter> injection_filter(const inspect::InjectionDetector& detector, InjectionOptions options);

}  // namespace stockade::egress
