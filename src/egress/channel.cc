#include "egress/channel.h"

namespace stockade::egress {

namespace {

constexpr Duration kPressurePause = std::chrono::milliseconds(10);

}  // namespace

std::vector<Fd> ArrivedFds::take_all() {
  std::vector<Fd> taken;
  while (next_ < fds_.size()) taken.push_back(std::move(fds_[next_++]));
  return taken;
}

Result<std::unique_ptr<Channel>> Channel::open(loop::Loop& loop, Fd socket) {
  STOCKADE_ASSIGN(auto async, loop::AsyncFd::adopt(loop, std::move(socket)));
  return std::make_unique<Channel>(loop, std::move(async));
}

WireWriter& Channel::begin(size_t fd_count) {
  if (queue_.empty() || queue_.back().bytes.bytes().size() >= kBatchBytes ||
      queue_.back().fds.size() + fd_count > kMessageFdLimit)
    queue_.emplace_back();
  before_record_ = queue_.back().bytes.bytes().size();
  return queue_.back().bytes;
}

void Channel::finish(std::vector<Fd> fds) {
  Outgoing& batch = queue_.back();
  queued_bytes_ += batch.bytes.bytes().size() - before_record_;
  for (Fd& fd : fds) batch.fds.push_back(std::move(fd));
  if (queued_bytes_ > kQueueLimit) overflowed_ = true;
  if (writer_idle_) {
    writer_idle_ = false;
    wake_writer_.notify_all();
  }
}

loop::Task<void> Channel::run_writer() {
  std::vector<int> numbers;
  while (!overflowed_) {
    if (queue_.empty()) {
      writer_idle_ = true;
      co_await wake_writer_.wait();
      continue;
    }
    const Outgoing& batch = queue_.front();
    numbers.clear();
    for (const Fd& fd : batch.fds) numbers.push_back(fd.get());
    const auto sent = send_message(socket_.get(), batch.bytes.bytes(), numbers);
    if (sent) {
      queued_bytes_ -= batch.bytes.bytes().size();
      queue_.pop_front();
      continue;
    }
    const int number = sent.error().error_number();
    // Others of the same user have too many descriptors under way, or the kernel is short of memory: this passes.
    if (number == ETOOMANYREFS || number == ENOBUFS || number == ENOMEM) {
      co_await loop_.sleep(kPressurePause);
      continue;
    }
    // A peer that has gone is noticed, and reported, by the reader.
    if (number != EAGAIN) co_return;
    socket_.exhausted_write();
    co_await socket_.writable();
  }
}

Result<void> Channel::decode(RecordHandler& handler, Message& message) {
  WireReader in(message.bytes);
  ArrivedFds fds(message.fds);
  while (in.ok() && !in.finished()) {
    const auto type = in.get_enum(kLastRecord);
    if (!in.ok()) break;
    STOCKADE_TRY(handler.on_record(type, in, fds));
  }
  if (!in.ok()) return fail(ErrorKind::protocol, "a malformed record");
  if (!fds.all_taken()) return fail(ErrorKind::protocol, "descriptors that no record announced");
  return {};
}

loop::Task<void> Channel::run_reader(RecordHandler& handler, Result<void>& outcome) {
  Message message;
  for (unsigned turn = 1;; ++turn) {
    // A peer that floods us gets its turn like everybody else.
    if (turn % 8 == 0) co_await loop_.yield();
    if (overflowed_) {
      outcome = fail(ErrorKind::protocol, "the peer does not read its messages");
      co_return;
    }
    const auto state = receive_message(socket_.get(), message);
    if (!state) {
      outcome = std::unexpected(state.error());
      co_return;
    }
    if (*state == ReceiveState::closed) {
      outcome = Result<void>{};
      co_return;
    }
    if (*state == ReceiveState::would_block) {
      socket_.exhausted_read();
      co_await socket_.readable();
      continue;
    }
    outcome = decode(handler, message);
    if (!outcome) co_return;
  }
}

}  // namespace stockade::egress
