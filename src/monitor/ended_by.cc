#include "monitor/ended_by.h"

#include <array>

namespace stockade::monitor {
namespace {

constexpr std::array<std::string_view, 6> kWords = {"agent", "signal", "limit", "rule", "kill", "error"};

bool takes_name(EndCause cause) {
  return cause == EndCause::limit || cause == EndCause::rule || cause == EndCause::error;
}

}  // namespace

std::string EndedBy::to_string() const {
  std::string text(kWords[static_cast<size_t>(cause)]);
  return takes_name(cause) ? text + ":" + name : text;
}

std::optional<EndedBy> EndedBy::parse(std::string_view text) {
  const size_t colon = text.find(':');
  const auto word = text.substr(0, colon);
  for (size_t i = 0; i < kWords.size(); ++i) {
    if (word != kWords[i]) continue;
    EndedBy ended{static_cast<EndCause>(i), colon == std::string_view::npos ? "" : std::string(text.substr(colon + 1))};
    if (takes_name(ended.cause) != !ended.name.empty() || (colon != std::string_view::npos && ended.name.empty()))
      return std::nullopt;
    return ended;
  }
  return std::nullopt;
}

int exit_status(const EndedBy& ended_by, const ExitStatus& agent) {
  constexpr int kTimedOut = 124;
  constexpr int kKilled = 137;
  switch (ended_by.cause) {
    case EndCause::agent:
    case EndCause::signal:
      return agent.signalled ? 128 + agent.code : agent.code;
    case EndCause::limit:
      return ended_by.name == "time" ? kTimedOut : kKilled;
    case EndCause::rule:
    case EndCause::kill:
    case EndCause::error:
      return kKilled;
  }
  return kKilled;
}

}  // namespace stockade::monitor
