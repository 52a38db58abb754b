#include "supervisor/approval_desk.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace stockade::supervisor {

using nlohmann::ordered_json;

namespace {

ordered_json describe(const monitor::WaitingEntry& entry, TimePoint now) {
  const event::Event& asked = entry.asked;
  const auto left = std::chrono::duration_cast<std::chrono::seconds>(entry.deadline - now).count();
  ordered_json json{{"event", asked.seq},
                    {"action", monitor::action_words(asked)},
                    {"kind", asked.kind},
                    {"subject", asked.subject},
                    {"reason", asked.reason},
                    {"rule", asked.rule},
                    {"where", asked.where},
                    {"since", event::format_time(asked.time)},
                    {"seconds_left", std::max<int64_t>(left, 0)},
                    {"waiting", entry.askers},
                    {"evidence", ordered_json::object()}};
  for (const auto& [key, value] : asked.evidence) json["evidence"][key] = value;
  return json;
}

std::string dump(const ordered_json& json) {
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace

std::string waiting_line(std::string_view run, const event::Event& asked) {
  return fmt::format("waiting for approval: {}: stockade approve {} {}", monitor::action_words(asked), run, asked.seq);
}

ApprovalDesk::ApprovalDesk(loop::Loop& loop, Duration patience, Host host)
    : loop_(loop), approvals_(patience), host_(std::move(host)) {}

ApprovalDesk::~ApprovalDesk() {
  if (keeps_deadlines_) loop_.cancel(deadlines_);
}

Result<uint64_t> ApprovalDesk::ask(event::Event asked, egress::AskScope scope, egress::OnAnswer then) {
  const auto standing = scope == egress::AskScope::destination ? monitor::Standing::for_equals : monitor::Standing::once;
  if (closed_) {
    then({false, "the run has ended", 0});
    return uint64_t{0};
  }
  if (standing == monitor::Standing::for_equals) {
    if (const auto approval = approvals_.standing_for(asked, loop_.now())) {
      then({true, "", *approval});
      return uint64_t{0};
    }
  }
  if (approvals_.is_full()) {
    then({false, fmt::format("{} things wait for a person already", monitor::kWaiting), 0});
    return uint64_t{0};
  }
  if (standing == monitor::Standing::for_equals) {
    if (const auto* joined = approvals_.join(asked)) {
      askers_[joined->asked.seq].push_back(std::move(then));
      return joined->asked.seq;
    }
  }
  asked.decision = event::Decision::ask;
  STOCKADE_ASSIGN(asked.seq, host_.record(asked));
  asked.time = loop_.clock().wall();
  askers_[asked.seq].push_back(std::move(then));
  host_.announce(asked);
  const uint64_t seq = asked.seq;
  approvals_.hold(std::move(asked), standing, loop_.now());
  if (!keeps_deadlines_) {
    keeps_deadlines_ = true;
    deadlines_ = loop_.spawn(keep_deadlines());
  }
  return seq;
}

bool ApprovalDesk::settle(monitor::WaitingEntry entry, bool granted, std::string_view by, std::string words) {
  event::Event answer;
  answer.wall = event::Wall::monitor;
  answer.kind = "approval";
  answer.subject = entry.asked.subject;
  answer.decision = granted ? event::Decision::allow : event::Decision::deny;
  answer.rule = entry.asked.rule;
  answer.where = entry.asked.where;
  answer.reason = fmt::format("event {}: {}", entry.asked.seq, words);
  answer.evidence = {{"event", fmt::format("{}", entry.asked.seq)},
                     {"by", std::string(by)},
                     {"action", monitor::action_words(entry.asked)},
                     {"waiting", fmt::format("{}", entry.askers)}};
  const auto recorded = host_.record(std::move(answer));
  if (!recorded) granted = false;
  if (granted) approvals_.stands(entry, *recorded, loop_.now());
  auto node = askers_.extract(entry.asked.seq);
  if (!node.empty())
    for (egress::OnAnswer& then : node.mapped()) then({granted, words, recorded.value_or(0)});
  return granted;
}

std::string ApprovalDesk::list() const {
  auto json = ordered_json::array();
  for (const auto& entry : approvals_.entries()) json.push_back(describe(entry, loop_.now()));
  return dump(json);
}

Result<std::string> ApprovalDesk::decide(uint64_t event, bool granted, const std::string& who,
                                         const std::string& reason) {
  auto entry = approvals_.take(event);
  if (!entry)
    return std::unexpected(Error(ErrorKind::invalid_input, fmt::format("event {} does not wait for approval", event))
                               .hint("stockade approvals lists what does"));
  const ordered_json json = describe(*entry, loop_.now());
  std::string words = granted ? "a person approved it" : "a person denied it";
  if (!reason.empty()) words += ": " + reason;
  if (settle(std::move(*entry), granted, who, std::move(words)) != granted)
    return fail(ErrorKind::unavailable, "the approval could not be logged, so it was denied");
  return dump(json);
}

loop::Task<void> ApprovalDesk::keep_deadlines() {
  while (const auto next = approvals_.next_deadline()) {
    co_await loop_.sleep_until(*next);
    const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(approvals_.patience());
    while (auto due = approvals_.take_due(loop_.now()))
      (void)settle(std::move(*due), false, "deadline",
                   fmt::format("nobody approved it within {} s", static_cast<double>(patience.count()) / 1000));
  }
  keeps_deadlines_ = false;
}

void ApprovalDesk::close() {
  if (std::exchange(closed_, true)) return;
  while (auto entry = approvals_.take_any())
    (void)settle(std::move(*entry), false, "end of the run", "the run ended before anybody approved it");
}

}  // namespace stockade::supervisor
