// What stands between the two sides of a body: it is fed what comes, in pieces, and lets go what may pass. Whatever could
// still turn out to be part of a finding is held back, so that no byte of it leaves; memory is bounded, whatever the
// body's length. Most filters let bytes pass unchanged, late; some (edits()) write others in their place.
//
// A finding that stops ends the message: what was let go before is all that leaves. One that asks comes together with the
// bytes, and who fed the filter holds them until a person has decided. A body that can't be read can't be
// judged: that is an Error (protocol, limit, unavailable), and stops as well. One thread, one body, one direction.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "egress/http_stream.h"
#include "net/refusal.h"

namespace stockade::egress {

struct ContentFinding {
  std::string reason;  // a sentence's end: "a secret in its body: …"
  std::string hint;    // what a person can do
  std::vector<std::pair<std::string, std::string>> evidence;
  bool stops = true;     // else it is logged, and the content passes
  bool asks = false;     // with `stops`: unless a person lets it pass, so the bytes come with it all the same
  bool handled = false;  // the filter took it out: a refusal, though the message goes on
};

struct Passed {
  std::string bytes;
  std::vector<ContentFinding> findings;  // in those bytes, or in what was about to follow them
};

class BodyFilter {
 public:
  virtual ~BodyFilter() = default;
  virtual Result<Passed> feed(std::string_view bytes, bool end) = 0;
  // Nothing more has come for a while: what is complete in itself should not wait for what may come later.
  virtual Result<Passed> pause() { return Passed{}; }
  virtual size_t held() const = 0;
  // It may write other bytes than it was fed: a length that was promised no longer holds.
  virtual bool edits() const { return false; }
  // What ends a message, of which a part has left, so that its reader knows why. None: it is broken off.
  virtual std::optional<BodyPiece> last_words(const net::Refusal&) { return std::nullopt; }
};

// One behind the other. Null ones are left out; null when none is left.
std::unique_ptr<BodyFilter> chain(std::unique_ptr<BodyFilter> first, std::unique_ptr<BodyFilter> second);

}  // namespace stockade::egress
