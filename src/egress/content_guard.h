// ContentGuard: the search for secrets in what the agent sends, where it can be read. One for the process, made only
// where a policy asks for it.
//
// The fields by which a client proves itself to the host that it talks to (Authorization and its like) are not
// searched: a key is where it belongs there. One thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "egress/body_filter.h"
#include "inspect/injection.h"
#include "inspect/stream.h"
#include "net/http1.h"

namespace stockade::egress {

class ContentGuard {
 public:
  static Result<ContentGuard> create();

  // Path, query and fields of a request: the first secret that must not leave.
  std::optional<inspect::Finding> search_head(const net::RequestHead& head);
  std::optional<inspect::Finding> search_field(const net::HttpField& field);
  inspect::Scanner& scanner() { return *scanner_; }

 private:
  explicit ContentGuard(inspect::Scanner scanner) : scanner_(std::make_unique<inspect::Scanner>(std::move(scanner))) {}
  std::optional<inspect::Finding> search(std::string_view place, std::string_view value);

  std::unique_ptr<inspect::Scanner> scanner_;
};

// Over a request's body. `stops`: else what is found is logged.
std::unique_ptr<BodyFilter> secret_filter(ContentGuard& guard, bool stops);

ContentFinding secret_finding(const inspect::Finding& finding, bool stops);

}  // namespace stockade::egress
