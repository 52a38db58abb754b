// Judges messages one by one: what the agent sends for secrets, what comes back for orders to the model. The end of each
// is context for the next, so that what is cut in two is found when its second half comes; the first half has left by
// then. One thread, one direction of one flow.
#pragma once

#include <optional>

#include "egress/body_filter.h"
#include "egress/content_guard.h"

namespace stockade::egress {

inline constexpr size_t kMessageContext = 1024;

class MessageJudge {
 public:
  // Whichever there is; they outlive this.
  struct Means {
    ContentGuard* secrets = nullptr;
    const inspect::InjectionDetector* injection = nullptr;
    policy::InspectionLevel secrets_level = policy::InspectionLevel::deny;
    bool stops_injection = true;
  };
  explicit MessageJudge(Means means) : means_(means) {}

  // `text`: whether it is known to be text; else it may be binary.
  std::vector<ContentFinding> judge(std::string_view message, bool text);

 private:
  void find_secrets(size_t context, std::vector<ContentFinding>& findings);
  void find_orders(bool text, std::vector<ContentFinding>& findings);

  Means means_;
  std::string joined_;  // the context, then the message
};

}  // namespace stockade::egress
