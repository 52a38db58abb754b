#include "egress/notice_sink.h"

#include <fmt/format.h>

namespace stockade::egress {

void NoticeSink::post(Notice notice) {
  notice.seq = ++last_seq_;
  supervisor_.send(notice);
}

loop::Task<NoticeSink::Receipt> NoticeSink::written(Notice notice) {
  post(std::move(notice));
  auto answer = std::make_shared<Answer>(loop_);
  waiting_.push_back({last_seq_, answer});
  co_await answer->came.wait();
  co_return answer->receipt;
}

loop::Task<NoticeSink::Word> NoticeSink::decided(Notice notice) {
  notice.decision = NoticeDecision::ask;
  auto question = std::make_shared<Question>(loop_);
  asked_.emplace(last_seq_ + 1, question);
  const Receipt receipt = co_await written(std::move(notice));
  while (!question->answered) co_await question->came.wait();
  co_return Word{receipt.event, question->answered->granted && receipt.proceed, std::move(question->answered->reason)};
}

bool NoticeSink::on_answered(Answered answered) {
  const auto found = asked_.extract(answered.seq);
  if (found.empty()) return false;
  found.mapped()->answered = std::move(answered);
  found.mapped()->came.notify_all();
  return true;
}

bool NoticeSink::on_acked(const Acked& acked) {
  if (acked.seq > last_seq_ || acked.seq != last_acked_ + 1) return false;
  last_acked_ = acked.seq;
  if (waiting_.empty() || waiting_.front().seq != acked.seq) return true;  // posted, nobody waits
  waiting_.front().answer->receipt = Receipt{acked.event, acked.proceed};
  waiting_.front().answer->came.notify_all();
  waiting_.pop_front();
  return true;
}

Notice unapproved(Notice asked, const NoticeSink::Word& word) {
  asked.decision = NoticeDecision::deny;
  asked.reason += fmt::format("; {}", word.reason);
  asked.hint = "a person can approve it while it waits: stockade approvals";
  return asked;
}

}  // namespace stockade::egress
