#include "egress/refusals.h"

#include <fmt/format.h>
#include <sys/socket.h>

namespace stockade::egress {

namespace {

constexpr Duration kLinger = std::chrono::seconds(1);
constexpr size_t kLingerBytes = 256 * 1024;

}  // namespace

loop::Task<Result<size_t>> InBuffer::read_more(Wire& from, TimePoint deadline) {
  while (true) {
    // Before each read: thousands may have waited since there was room.
    if (inspector_->buffered_bytes() > kBufferedBytes)
      co_return fail(ErrorKind::limit, "too many bytes wait to be judged");
    auto now = from.read_now(bytes_);
    charge();
    if (!now) co_return std::unexpected(std::move(now).error());
    if (*now) co_return **now;
    auto more = co_await from.await_more(deadline);
    if (!more) co_return std::unexpected(std::move(more).error());
  }
}

Notice make_notice(const Destination& to, std::string reason, std::string hint) {
  Notice notice;
  notice.rule = to.rule;
  notice.host = to.host.empty() ? to.address.to_string() : to.host;
  notice.port = to.port;
  notice.subject = to.subject();
  notice.reason = std::move(reason);
  notice.hint = std::move(hint);
  return notice;
}

std::string allow_hint(const Destination& to) {
  const std::string who =
      to.host.empty() ? fmt::format("address: {}", to.address.to_string()) : fmt::format("host: {}", to.host);
  return fmt::format("a person can allow it with \"- {{ {}, ports: [{}]{} }}\" under network.allow", who, to.port,
                     to.port == 80 ? ", protocol: http" : "");
}

net::Refusal refusal_of(net::RefusalStatus status, const Notice& notice, uint64_t event) {
  net::Refusal refusal;
  refusal.status = status;
  refusal.message = fmt::format("Stockade refused {}: {}", notice.subject, notice.reason);
  refusal.reason = notice.reason;
  if (notice.rule >= 0)
    refusal.rule = fmt::format("network.{}[{}]", notice.by_deny_rule ? "deny" : "allow", notice.rule);
  refusal.hint = notice.hint;
  if (event != 0) refusal.event = fmt::format("{}", event);
  return refusal;
}

std::string answer_bytes(const Answer& answer, const Notice& notice, uint64_t event) {
  if (answer.form == AnswerForm::raw) return answer.raw;
  if (answer.form == AnswerForm::alert) return net::tls_alert_record(answer.alert);
  if (answer.form == AnswerForm::reset) return {};
  return net::http_refusal(refusal_of(answer.status, notice, event), answer.with_body);
}

loop::Task<void> finish_with(Inspector& inspector, Connection connection, std::string bytes) {
  if (bytes.empty()) {
    reset_on_close(connection.client.get());
    co_return;
  }
  const TimePoint deadline = inspector.loop().now() + kLinger;
  auto written = co_await connection.client.write(bytes, deadline);
  if (!written) {
    reset_on_close(connection.client.get());
    co_return;
  }
  co_await connection.client.finish(deadline);
  co_await connection.client.drain(kLingerBytes, deadline);
}

loop::Task<void> refuse(Inspector& inspector, Connection connection, Notice notice, Answer answer) {
  const NoticeSink::Receipt receipt = co_await inspector.notices().written(notice);
  std::string bytes = answer_bytes(answer, notice, receipt.event);
  co_await finish_with(inspector, std::move(connection), std::move(bytes));
}

}  // namespace stockade::egress
