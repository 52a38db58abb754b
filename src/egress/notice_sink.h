// NoticeSink: a worker's line to the audit log. `written()` sends a notice to the supervisor and returns when the
// supervisor says that it is in the log; only then may the decision take effect. Notices and acknowledgements travel
// many to a message. `post()` is for what has no effect to hold back; `decided()` for what a person is asked: it returns
// when one has answered, or the supervisor for them. One thread.
#pragma once

#include <deque>
#include <memory>
#include <unordered_map>

#include "egress/channel.h"

namespace stockade::egress {

class NoticeSink {
 public:
  NoticeSink(loop::Loop& loop, Channel& supervisor) : loop_(loop), supervisor_(supervisor) {}

  struct Receipt {
    uint64_t event = 0;    // its number in the log
    bool proceed = false;  // what it allows may happen
  };
  void post(Notice notice);
  loop::Task<Receipt> written(Notice notice);
  struct Word {
    uint64_t event = 0;  // of the question
    bool granted = false;
    std::string reason;  // who or what decided
  };
  loop::Task<Word> decided(Notice notice);
  // False if the supervisor acknowledges what was never sent, or out of order.
  bool on_acked(const Acked& acked);
  // False if nobody asked.
  bool on_answered(Answered answered);
  size_t waiting() const { return waiting_.size(); }

 private:
  struct Answer {
    explicit Answer(loop::Loop& loop) : came(loop) {}
    loop::Signal came;
    Receipt receipt;
  };
  struct Question {
    explicit Question(loop::Loop& loop) : came(loop) {}
    loop::Signal came;
    std::optional<Answered> answered;
  };
  struct Waiting {
    uint64_t seq;
    std::shared_ptr<Answer> answer;
  };
  loop::Loop& loop_;
  Channel& supervisor_;
  uint64_t last_seq_ = 0;
  uint64_t last_acked_ = 0;
  std::deque<Waiting> waiting_;
  std::unordered_map<uint64_t, std::shared_ptr<Question>> asked_;
};

// What was asked, as the refusal that the answer made of it.
Notice unapproved(Notice asked, const NoticeSink::Word& word);

}  // namespace stockade::egress
