// ContentGuard: the search for secrets in what the agent sends, where it can be read. One for the process: it holds the
// compiled rules (some tenths of a second to make, so only where a policy asks for it). BodyGuard: one request's body,
// which is let go only as far as it is known to be clean.
//
// The fields by which a client proves itself to the host that it talks to (Authorization and its like) are not
// searched: a key is where it belongs there. Bodies under a content coding are searched after it was undone only as far
// as the engine's own decoders reach (inspect/decode.h). One thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "inspect/stream.h"
#include "net/http1.h"

namespace stockade::egress {

class ContentGuard {
 public:
  static Result<ContentGuard> create();

  // Path, query and fields of a request: every secret that must not leave by itself.
  std::vector<inspect::Finding> search_head(const net::RequestHead& head);
  std::vector<inspect::Finding> search_field(const net::HttpField& field);
  inspect::Scanner& scanner() { return *scanner_; }

 private:
  explicit ContentGuard(inspect::Scanner scanner) : scanner_(std::make_unique<inspect::Scanner>(std::move(scanner))) {}
  void search(std::string_view place, std::string_view value, std::vector<inspect::Finding>& out);
  void search_field(const net::HttpField& field, std::vector<inspect::Finding>& out);

  std::unique_ptr<inspect::Scanner> scanner_;
};

class BodyGuard {
 public:
  explicit BodyGuard(ContentGuard& guard)
      : stream_(guard.scanner(), {.direction = inspect::Direction::out, .place = "body"}) {}

  struct Outcome {
    std::string released;                 // may leave now, unless something in it was found
    std::vector<inspect::Finding> found;  // all of it
  };
  Outcome feed(std::string_view content, bool end);
  size_t held() const { return held_.size(); }

 private:
  inspect::StreamScanner stream_;
  std::string held_;
};

// For the log and the client: which rule, where, through which encodings; never the secret.
std::string describe(const inspect::Finding& finding);

}  // namespace stockade::egress
