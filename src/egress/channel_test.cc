// A channel under pressure from outside: descriptors under way are counted for the whole user, so what somebody else
// has sent and nobody received can keep us from sending ours (ETOOMANYREFS, unix(7)).
#include "egress/channel.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/message_socket.h"
#include "base/pid.h"

namespace stockade::egress {
namespace {

// Puts descriptors under way until the user has too many; true when that is so.
bool exhaust(int socket) {
  const std::vector<int> copies(kMessageFdLimit, socket);
  for (int i = 0; i < 100; ++i)
    if (auto sent = send_message(socket, "x", copies); !sent) return sent.error().error_number() == ETOOMANYREFS;
  return false;
}

loop::Task<void> release_and_receive(loop::Loop& loop, Fd& crowd, int receiver, int& outcome) {
  Message message;
  outcome = 5;
  co_await loop.sleep(std::chrono::milliseconds(30));
  if (receive_message(receiver, message).value_or(ReceiveState::closed) == ReceiveState::would_block) outcome = 6;
  crowd.reset();
  for (int i = 0; i < 500 && outcome != 0; ++i) {
    co_await loop.sleep(std::chrono::milliseconds(10));
    if (receive_message(receiver, message).value_or(ReceiveState::closed) == ReceiveState::message &&
        message.fds.size() == 1)
      outcome = 0;
  }
  loop.stop();
}

int send_in_a_crowd() {
  if (::setgid(12347) < 0 || ::setuid(12347) < 0) return 1;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = 64;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  auto crowd = make_socket_pair(SOCK_SEQPACKET).value();
  auto pair = make_socket_pair(SOCK_SEQPACKET).value();
  for (Fd* fd : {&crowd[0], &pair[0], &pair[1]})
    if (::fcntl(fd->get(), F_SETFL, O_NONBLOCK) < 0) return 2;
  if (!exhaust(crowd[0].get())) return 3;
  crowd[0].reset();
  const SystemClock clock;
  auto loop = loop::Loop::create(clock).value();
  auto channel = Channel::open(*loop, std::move(pair[0])).value();
  channel->send_with(Dialed{1, DialResult::connected, ""}, [&] {
    std::vector<Fd> fds;
    fds.push_back(pair[1].duplicate().value());
    return fds;
  }());
  int outcome = 4;
  loop->spawn(channel->run_writer());
  loop->spawn(release_and_receive(*loop, crowd[1], pair[1].get(), outcome));
  (void)loop->run();
  loop->cancel_all();
  return outcome;
}

TEST(Channel, SendsItsDescriptorsOnceOthersAreNoLongerTooMany) {
  if (::getuid() != 0) GTEST_SKIP() << "needs root to become a user of its own";
  auto child = fork_child(send_in_a_crowd);
  ASSERT_TRUE(child);
  const auto status = child->wait();
  ASSERT_TRUE(status);
  EXPECT_FALSE(status->signalled);
  EXPECT_EQ(status->code, 0);
}

}  // namespace
}  // namespace stockade::egress
