#include "egress/refusals.h"

#include <fmt/format.h>
#include <sys/socket.h>

namespace stockade::egress {

namespace {

constexpr Duration kLinger = std::chrono::seconds(1);
constexpr size_t kLingerBytes = 256 * 1024;
constexpr size_t kReadBytes = 16 * 1024;

// A function of its own: a coroutine would keep the buffer in its frame while it waits.
ssize_t receive_into(InBuffer& into, int socket) {
  char buffer[kReadBytes];
  const ssize_t count = ::recv(socket, buffer, sizeof(buffer), 0);
  if (count > 0) into.append(std::string_view(buffer, static_cast<size_t>(count)));
  return count;
}

}  // namespace

loop::Task<Result<size_t>> InBuffer::read_more(loop::AsyncFd& from, TimePoint deadline) {
  while (true) {
    // Before each read: thousands may have waited since there was room.
    if (inspector_->buffered_bytes() > kBufferedBytes)
      co_return fail(ErrorKind::limit, "too many bytes wait to be judged");
    const ssize_t count = receive_into(*this, from.get());
    if (count >= 0) co_return static_cast<size_t>(count);
    if (errno == EINTR) continue;
    if (errno != EAGAIN) co_return fail_errno("read");
    from.exhausted_read();
    const loop::Wake wake = co_await from.readable(deadline);
    if (wake == loop::Wake::timeout) co_return fail(ErrorKind::limit, "no bytes before the deadline");
    if (!from) co_return fail(ErrorKind::internal, "closed meanwhile");
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
  return fmt::format("a person can allow it with \"- {{ {}, ports: [{}], {} }}\" under network.allow", who, to.port,
                     to.port == 80 ? "protocol: http" : "tls: passthrough");
}

std::string answer_bytes(const Answer& answer, const Notice& notice, uint64_t event) {
  if (answer.form == AnswerForm::raw) return answer.raw;
  if (answer.form == AnswerForm::alert) return net::tls_alert_record(answer.alert);
  if (answer.form == AnswerForm::reset) return {};
  net::Refusal refusal;
  refusal.status = answer.status;
  refusal.message = fmt::format("Stockade refused {}: {}", notice.subject, notice.reason);
  refusal.reason = notice.reason;
  if (notice.rule >= 0)
    refusal.rule = fmt::format("network.{}[{}]", notice.by_deny_rule ? "deny" : "allow", notice.rule);
  refusal.hint = notice.hint;
  if (event != 0) refusal.event = fmt::format("{}", event);
  return net::http_refusal(refusal, answer.with_body);
}

loop::Task<void> finish_with(Inspector& inspector, Connection connection, std::string bytes) {
  if (bytes.empty()) {
    reset_on_close(connection.client.get());
    co_return;
  }
  const TimePoint deadline = inspector.loop().now() + kLinger;
  auto written = co_await loop::write_fully(connection.client, bytes, deadline);
  if (!written) {
    reset_on_close(connection.client.get());
    co_return;
  }
  // Closing with unread bytes would reset the connection and take the answer back.
  ::shutdown(connection.client.get(), SHUT_WR);
  size_t drained = 0;
  while (drained < kLingerBytes) {
    const ssize_t count = ::recv(connection.client.get(), nullptr, kReadBytes, MSG_TRUNC);
    if (count > 0) {
      drained += static_cast<size_t>(count);
      continue;
    }
    if (count == 0 || (errno != EAGAIN && errno != EINTR)) co_return;
    if (errno == EINTR) continue;
    connection.client.exhausted_read();
    const loop::Wake wake = co_await connection.client.readable(deadline);
    if (wake == loop::Wake::timeout) co_return;
  }
}

loop::Task<void> refuse(Inspector& inspector, Connection connection, Notice notice, Answer answer) {
  const NoticeSink::Receipt receipt = co_await inspector.notices().written(notice);
  std::string bytes = answer_bytes(answer, notice, receipt.event);
  co_await finish_with(inspector, std::move(connection), std::move(bytes));
}

}  // namespace stockade::egress
