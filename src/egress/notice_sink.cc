#include "egress/notice_sink.h"

namespace stockade::egress {

void NoticeSink::post(Notice notice) {
  notice.seq = ++last_seq_;
  supervisor_.send(notice);
}

loop::Task<void> NoticeSink::written(Notice notice) {
  post(std::move(notice));
  auto signal = std::make_shared<loop::Signal>(loop_);
  waiting_.push_back({last_seq_, signal});
  co_await signal->wait();
}

bool NoticeSink::on_acked(uint64_t seq) {
  if (seq > last_seq_) return false;
  while (!waiting_.empty() && waiting_.front().seq <= seq) {
    waiting_.front().signal->notify_all();
    waiting_.pop_front();
  }
  return true;
}

}  // namespace stockade::egress
