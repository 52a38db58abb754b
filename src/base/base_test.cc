#include <gtest/gtest.h>
#include <sys/socket.h>

#include <csignal>

#include "base/ip_address.h"
#include "base/message_socket.h"
#include "base/pid.h"
#include "base/wire.h"

namespace stockade {
namespace {

TEST(Error, RendersContextSentenceErrnoAndHint) {
  auto error = Error::from_errno("mount /proc", EPERM).context("start sandbox").hint("run 'stockade doctor'");
  EXPECT_EQ(error.render(), "start sandbox: mount /proc: operation not permitted (EPERM); run 'stockade doctor'");
  EXPECT_EQ(error.kind(), ErrorKind::unavailable);
}

TEST(IpAddress, ParsesCanonicalSpellingsOnly) {
  EXPECT_EQ(IpAddress::parse("127.0.0.1")->v4_bits(), 0x7f000001u);
  EXPECT_TRUE(IpAddress::parse("2001:db8::1")->is_v6());
  for (const char* text : {"127.1", "0177.0.0.1", "0x7f.1", "1.2.3.4 ", "", "::g"})
    EXPECT_FALSE(IpAddress::parse(text)) << text;
}

TEST(Cidr, ContainsByPrefixAndNeverAcrossFamilies) {
  const auto ten = Cidr::parse("10.0.0.0/8").value();
  EXPECT_TRUE(ten.contains(*IpAddress::parse("10.255.0.1")));
  EXPECT_FALSE(ten.contains(*IpAddress::parse("11.0.0.1")));
  EXPECT_FALSE(Cidr::parse("::/0")->contains(*IpAddress::parse("10.0.0.1")));
  EXPECT_TRUE(Cidr::parse("fe80::/10")->contains(*IpAddress::parse("febf::1")));
  for (const char* text : {"10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/08", "10.0.0.0/"})
    EXPECT_FALSE(Cidr::parse(text)) << text;
}

TEST(Endpoint, RoundTripsThroughSockaddr) {
  for (const char* text : {"192.0.2.1:443", "[2001:db8::1]:53"}) {
    sockaddr_storage storage;
    const auto endpoint = Endpoint::parse(text).value();
    endpoint.to_sockaddr(storage);
    EXPECT_EQ(Endpoint::from_sockaddr(storage)->to_string(), text);
  }
}

TEST(WireReader, StopsAtTheFirstTruncation) {
  WireWriter writer;
  writer.put(uint16_t{7}).put(std::string_view("name"));
  const std::string cut = writer.bytes().substr(0, writer.bytes().size() - 1);
  WireReader reader(cut);
  EXPECT_EQ(reader.get<uint16_t>(), 7);
  EXPECT_EQ(reader.get_string(100), "");
  EXPECT_FALSE(reader.finished());
}

TEST(MessageSocket, CarriesBytesAndDescriptors) {
  auto pair = make_socket_pair(SOCK_SEQPACKET).value();
  auto pipe = make_pipe().value();
  const int fd = pipe.write.get();
  ASSERT_TRUE(send_message(pair[0].get(), "hello", {&fd, 1}));
  Message message;
  ASSERT_EQ(receive_message(pair[1].get(), message).value(), ReceiveState::message);
  EXPECT_EQ(message.bytes, "hello");
  ASSERT_EQ(message.fds.size(), 1u);
  pair[0].reset();
  EXPECT_EQ(receive_message(pair[1].get(), message).value(), ReceiveState::closed);
}

TEST(Pid, ReportsExitStatusAndKillsInItsDestructor) {
  auto child = fork_child([] { return 42; });
  ASSERT_TRUE(child);
  EXPECT_EQ(child->wait()->code, 42);
  pid_t pid = 0;
  {
    auto sleeper = fork_child([] {
      ::pause();
      return 0;
    });
    pid = sleeper->get();
  }
  EXPECT_EQ(::kill(pid, 0), -1);
}

TEST(CloseAllExcept, KeepsOnlyWhatIsNamed) {
  auto child = fork_child([] {
    auto pipe = make_pipe().value();
    close_all_except({pipe.read.get()});
    const bool kept = ::fcntl(pipe.read.get(), F_GETFD) >= 0;
    const bool closed = ::fcntl(pipe.write.release(), F_GETFD) < 0;
    return kept && closed ? 0 : 1;
  });
  EXPECT_EQ(child->wait()->code, 0);
}

}  // namespace
}  // namespace stockade
