// The agent's side of HTTP/1: one exchange at a time on a connection, requests that were pipelined wait their turn. Heads
// are written again from what was parsed. One thread.
#pragma once

#include "egress/http1_message.h"

namespace stockade::egress {

struct AgentHttp1 {
  AgentHttp1(Inspector& inspector_, Connection connection_, InBuffer in_)
      : inspector(inspector_), connection(std::move(connection_)), in(std::move(in_)) {}

  Inspector& inspector;
  Connection connection;
  InBuffer in;
};

class AgentHttp1Stream final : public AgentStream {
 public:
  AgentHttp1Stream(std::shared_ptr<AgentHttp1> on, const net::RequestHead& request);

  loop::Task<Result<BodyPiece>> read_body(TimePoint deadline) override;
  loop::Task<Result<void>> write_head(net::ResponseHead head) override;
  loop::Task<Result<void>> write_body(BodyPiece piece) override;
  void become_tunnel() override;
  void stop_reading() override;
  void abort() override;
  int minor_version() const override { return minor_version_; }
  bool is_gone() const override { return aborted_ || on_->connection.client.peer_ended(); }

  // Both messages are over, and another request may follow.
  bool keeps_connection() const;
  bool aborted() const { return aborted_; }

 private:
  std::shared_ptr<AgentHttp1> on_;
  int minor_version_;
  bool keep_alive_;
  bool aborted_ = false;
  bool stopped_ = false;
  bool tunnel_ = false;
  Http1BodyReader reader_;
  std::optional<Http1BodyWriter> writer_;
};

}  // namespace stockade::egress
