// What leaves a run, in numbers (net/exfil_statistics.h), as findings: a host whose numbers look like exfiltration is
// told once a window, or each of its requests is refused, by network.inspect.exfiltration. Under a wildcard rule the
// hosts count together, and their own labels as values: a new name is as good a carrier as a new path.
//
// A suspicion, not a boundary: what leaves slowly, or inside of content, is not seen. One object a run. One thread.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>

#include "egress/body_filter.h"
#include "egress/records.h"
#include "net/exfil_statistics.h"
#include "net/http1.h"
#include "policy/policy.h"

namespace stockade::egress {

// From here on it is told. No sign by itself reaches it but values that carry data; two together do.
inline constexpr double kExfilSuspicion = 0.7;

class ExfilWatch {
 public:
  // `network` outlives it.
  ExfilWatch(const policy::Network& network, uint64_t seed);

  std::optional<ContentFinding> on_request(const Destination& to, const net::RequestHead& head, TimePoint now);
  std::optional<ContentFinding> on_body(const Destination& to, uint64_t bytes, TimePoint now);
  void on_answer(const Destination& to, int status, TimePoint now);

 private:
  std::optional<ContentFinding> judge(const std::string& host, const net::ExfilScore& score, TimePoint now);

  const policy::Network& network_;
  policy::InspectionLevel level_;
  net::ExfilStatistics statistics_;
  std::unordered_map<std::string, TimePoint> told_;
};

}  // namespace stockade::egress
