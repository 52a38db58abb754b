#include "egress/plain_judge.h"

#include <algorithm>
#include <iterator>

#include "net/first_bytes.h"

namespace stockade::egress {

namespace {

constexpr std::string_view kNestedTls = "TLS inside of TLS can't be read";

std::optional<net::StartupProtocol> by_name(std::string_view name) {
  for (size_t i = 0; i < net::kStartupProtocols; ++i)
    if (const auto protocol = static_cast<net::StartupProtocol>(i); net::startup_protocol_name(protocol) == name)
      return protocol;
  return std::nullopt;
}

}  // namespace

PlainJudge::PlainJudge(std::string_view named, uint16_t port, ContentGuard* guard)
    : port_(port), expected_(named.empty() ? net::startup_by_port(port) : by_name(named)), searcher_(guard) {
  expect(expected_);
  if (searcher_) guard_.emplace(*searcher_, "bytes");
}

void PlainJudge::expect(std::optional<net::StartupProtocol> protocol) {
  startup_ = protocol ? net::make_startup_parser(*protocol) : nullptr;
  told_ = startup_ ? startup_->facts() : net::StartupFacts();
  told_done_ = false;
}

std::string_view PlainJudge::protocol() const {
  return startup_ ? net::startup_protocol_name(startup_->facts().protocol) : std::string_view();
}

// By the client's first bytes: whether TLS begins at once, and which protocol it is where nobody said so. False: more
// of them are needed, unless it must be decided now.
bool PlainJudge::decide(bool now) {
  if (decided_ || waiting_.empty()) return true;
  const bool fresh =
      !startup_ || (startup_->taken(net::Speaker::client) == 0 && startup_->taken(net::Speaker::server) == 0);
  if (fresh) {
    const net::FirstBytes first = net::classify_first_bytes(waiting_);
    tls_begins_ = first == net::FirstBytes::tls;
    if (tls_begins_) return true;
    if (first == net::FirstBytes::need_more && waiting_[0] == '\x16' && !now) return false;
  }
  if (!startup_) {
    const net::StartupGuess guess = net::startup_by_first_bytes(waiting_);
    if (guess.need_more && !now) return false;
    expect(guess.protocol);
  }
  decided_ = true;
  return true;
}

// What of the client's bytes goes on, by the startup; `private_parts` of it are not searched.
std::string PlainJudge::take_startup(Passed& passed, std::vector<net::StartupParser::Credential>& private_parts) {
  size_t taken = waiting_.size();
  if (!startup_) {
    if (hello_.feed(waiting_)) passed.refusal = "TLS begins inside a protocol that is not known";
  } else if (!startup_->done()) {
    auto judged = startup_->feed(net::Speaker::client, waiting_);
    if (!judged) {
      passed.refusal = judged.error().message();
      return {};
    }
    private_parts = startup_->credentials();
    const bool goes_on = startup_->done() && startup_->facts().tls != net::StartupTls::now;
    if (!goes_on) taken = *judged;
  } else if (startup_->facts().tls == net::StartupTls::now) {
    taken = 0;
  }
  std::string content = waiting_.substr(0, taken);
  waiting_.erase(0, taken);
  if (startup_ && startup_->done() && startup_->facts().tls == net::StartupTls::now && !waiting_.empty()) {
    // What is there must be a ClientHello: the parser says so.
    if (auto judged = startup_->feed(net::Speaker::client, waiting_); !judged)
      passed.refusal = judged.error().message();
    tls_begins_ = true;
  }
  return content;
}

bool PlainJudge::is_searched() const {
  return guard_ && !(startup_ && startup_->done() && startup_->facts().own_encryption);
}

void PlainJudge::search(std::string_view content, bool end, Passed& passed) {
  if (!guard_) {
    passed.leaves += content;
    return;
  }
  auto outcome = guard_->feed(content, end);
  passed.leaves += outcome.released;
  std::ranges::move(outcome.found, std::back_inserter(passed.found));
}

// The log has them before what follows them leaves: once the startup is done, or as soon as bytes add nothing.
void PlainJudge::tell(const net::StartupFacts& before, Passed& passed) {
  if (!startup_) return;
  const net::StartupFacts& facts = startup_->facts();
  const bool done = startup_->done() && !told_done_;
  if (!done && (facts == told_ || facts != before)) return;
  told_ = facts;
  told_done_ = startup_->done();
  passed.facts = facts;
}

PlainJudge::Passed PlainJudge::judge_client(bool now, bool end) {
  Passed passed;
  if (!decide(now || end)) return passed;
  if (tls_begins_) {
    if (inside_) passed.refusal = kNestedTls;
    return passed;
  }
  const net::StartupFacts before = startup_ ? startup_->facts() : net::StartupFacts();
  std::vector<net::StartupParser::Credential> private_parts;
  const std::string content = take_startup(passed, private_parts);
  if (!passed.refusal.empty()) return passed;
  const bool agreed = tls_is_agreed();
  if (agreed && inside_) passed.refusal = kNestedTls;
  // Where something of another kind begins, nothing may stay behind.
  size_t at = 0;
  for (const auto& [begin, size] : private_parts) {
    search(std::string_view(content).substr(at, begin - at), true, passed);
    passed.leaves.append(content, begin, size);
    at = begin + size;
  }
  search(std::string_view(content).substr(at), end || agreed || !is_searched(), passed);
  if (!is_searched()) guard_.reset();
  if (!content.empty()) tell(before, passed);
  if (!passed.facts) return passed;
  // Facts quote what the client sent, and the log quotes no secret.
  Passed rest = pause();
  passed.leaves += rest.leaves;
  std::ranges::move(rest.found, std::back_inserter(passed.found));
  if (!passed.found.empty()) {
    net::StartupFacts bare;
    bare.protocol = passed.facts->protocol;
    bare.tls = passed.facts->tls;
    passed.facts = std::move(bare);
  }
  return passed;
}

PlainJudge::Passed PlainJudge::from_client(std::string_view bytes, bool end) {
  waiting_ += bytes;
  return judge_client(false, end);
}

PlainJudge::Passed PlainJudge::pause() {
  Passed passed;
  if (!guard_) return passed;
  auto outcome = guard_->pause();
  passed.leaves = std::move(outcome.released);
  passed.found = std::move(outcome.found);
  return passed;
}

PlainJudge::Passed PlainJudge::give_up_waiting() {
  Passed passed = judge_client(true, false);
  if (passed.refusal.empty() && guard_ && guard_->held() > 0) search("", true, passed);
  return passed;
}

PlainJudge::Passed PlainJudge::from_server(std::string_view bytes) {
  Passed passed;
  server_waiting_ += bytes;
  size_t taken = server_waiting_.size();
  if (startup_ && (!startup_->done() || startup_->facts().tls == net::StartupTls::now)) {
    auto judged = startup_->feed(net::Speaker::server, server_waiting_);
    if (!judged) {
      passed.refusal = judged.error().message();
      return passed;
    }
    const bool goes_on = startup_->done() && startup_->facts().tls != net::StartupTls::now;
    if (!goes_on) taken = *judged;
  }
  passed.leaves = server_waiting_.substr(0, taken);
  server_waiting_.erase(0, taken);
  if (startup_ && startup_->done()) tell(startup_->facts(), passed);
  return passed;
}

std::string PlainJudge::take_hello() { return std::exchange(waiting_, {}); }

void PlainJudge::enter_tls() {
  const bool agreed = startup_ && startup_->done();
  if (agreed) {
    startup_ = startup_->inside_tls();
    told_ = startup_ ? startup_->facts() : net::StartupFacts();
    told_done_ = false;
  } else {
    expect(expected_ ? expected_ : net::startup_inside_tls_by_port(port_));
  }
  decided_ = agreed;
  tls_begins_ = false;
  inside_ = true;
  server_waiting_.clear();
  hello_ = {};
  if (searcher_) guard_.emplace(*searcher_, "bytes");
}

std::optional<net::StartupFacts> PlainJudge::untold_facts() {
  if (!startup_ || startup_->facts() == told_) return std::nullopt;
  told_ = startup_->facts();
  return told_;
}

}  // namespace stockade::egress
