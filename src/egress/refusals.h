// How the inspector says no: first the notice is in the log, then the agent gets the answer that its protocol
// understands (403 with a JSON body, a fatal TLS alert, else a reset), and the connection ends without losing that
// answer. Also the buffer of what was read and not yet judged, which counts against the process's bound.
#pragma once

#include <optional>
#include <string>

#include "egress/inspector.h"
#include "egress/wire.h"
#include "net/client_hello.h"
#include "net/refusal.h"

namespace stockade::egress {

// One accepted connection, until it is refused or becomes a relay.
struct Connection {
  Wire client;
  Endpoint peer;      // the agent's end
  Endpoint original;  // where it meant to go
  Inspector::SessionSlot slot;
};

class InBuffer {
 public:
  explicit InBuffer(Inspector& inspector) : inspector_(&inspector) {}
  InBuffer(InBuffer&& other) noexcept
      : inspector_(other.inspector_),
        bytes_(std::move(other.bytes_)),
        elsewhere_(std::exchange(other.elsewhere_, 0)),
        charged_(std::exchange(other.charged_, 0)) {
    other.bytes_.clear();
  }
  InBuffer& operator=(InBuffer&&) = delete;
  ~InBuffer() { inspector_->buffered_bytes() -= charged_; }

  const std::string& bytes() const { return bytes_; }
  void consume(size_t count) {
    bytes_.erase(0, count);
    if (bytes_.empty()) bytes_ = std::string();
    charge();
  }
  void append(std::string_view more) {
    bytes_ += more;
    charge();
  }
  std::string take() {
    std::string taken = std::move(bytes_);
    bytes_ = std::string();
    charge();
    return taken;
  }
  // Memory that somebody holds of what came through here.
  void charge_elsewhere(size_t bytes) {
    elsewhere_ = bytes;
    charge();
  }
  // Appends what the wire has; 0 at its end. Past the process's bound: an error of kind limit.
  loop::Task<Result<size_t>> read_more(Wire& from, TimePoint deadline);

 private:
  void charge() {
    const size_t held = bytes_.capacity() + elsewhere_;
    inspector_->buffered_bytes() += held - charged_;
    charged_ = held;
  }
  Inspector* inspector_;
  std::string bytes_;
  size_t elsewhere_ = 0;
  size_t charged_ = 0;
};

enum class AnswerForm { reset, alert, http, raw };

struct Answer {
  AnswerForm form = AnswerForm::reset;
  net::TlsAlert alert = net::TlsAlert::access_denied;
  net::RefusalStatus status = net::RefusalStatus::forbidden;
  bool with_body = true;  // http
  std::string raw{};      // raw: a protocol's own words (SOCKS)
};

Notice make_notice(const Destination& to, std::string reason, std::string hint = {});
net::Refusal refusal_of(net::RefusalStatus status, const Notice& notice, uint64_t event = 0);
// `event` is the refusal's number in the log; 0: another process wrote it.
std::string answer_bytes(const Answer& answer, const Notice& notice, uint64_t event = 0);

// Logs, answers, ends.
loop::Task<void> refuse(Inspector& inspector, Connection connection, Notice notice, Answer answer);
// Answers and ends; what is to be said is in the log already, or is no decision (a failed connect).
loop::Task<void> finish_with(Inspector& inspector, Connection connection, std::string bytes);

// The line that would allow it, for the hint of a refusal.
std::string allow_hint(const Destination& to);

}  // namespace stockade::egress
