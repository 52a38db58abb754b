// ContentGuard: the search for secrets in what the agent sends, where it can be read. One for the process, made only
// where a policy asks for it.
//
// The fields by which a client proves itself to the host that it talks to (Authorization and its like) are not
// searched: a key is where it belongs there. One thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "egress/body_filter.h"
#include "inspect/injection.h"
#include "inspect/stream.h"
#include "net/http1.h"
#include "policy/policy.h"

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
  explicit BodyGuard(ContentGuard& guard, std::string place = "body")
      : stream_(guard.scanner(), {.direction = inspect::Direction::out, .place = std::move(place)}) {}

  struct Outcome {
    std::string released;                 // may leave now, unless something in it was found
    std::vector<inspect::Finding> found;  // all of it
  };
  Outcome feed(std::string_view content, bool end);
  // The sender waits for an answer: all but the beginning of something is let go (inspect/stream.h).
  Outcome pause();
  size_t held() const { return held_.size(); }

 private:
  Outcome let_go(inspect::StreamScanner::Fed fed);

  inspect::StreamScanner stream_;
  std::string held_;
};

// The same as a filter of HTTP's bodies; the level says what becomes of a finding. It does not let go when its sender
// pauses: a secret that drips stays whole.
std::unique_ptr<BodyFilter> secret_filter(ContentGuard& guard, policy::InspectionLevel level);

// For the log and the client: which rule, where, through which encodings; never the secret.
std::string describe(const inspect::Finding& finding);
ContentFinding secret_finding(const inspect::Finding& finding, policy::InspectionLevel level);
std::vector<ContentFinding> secret_findings(const std::vector<inspect::Finding>& found, policy::InspectionLevel level);

}  // namespace stockade::egress
