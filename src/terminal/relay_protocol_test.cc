#include "terminal/relay_protocol.h"

#include <gtest/gtest.h>

#include <csignal>

namespace stockade::terminal {
namespace {

TEST(RelayProtocol, CarriesEveryMessageToTheSupervisor) {
  Hello hello;
  hello.size = {24, 80, 640, 480};
  hello.theirs.c_lflag = ECHO | ICANON;
  hello.ours.c_cc[VMIN] = 1;
  const auto back = parse_to_supervisor(encode(ToSupervisor(hello)));
  ASSERT_TRUE(back);
  EXPECT_EQ(std::get<Hello>(*back).size, hello.size);
  EXPECT_TRUE(same_settings(std::get<Hello>(*back).theirs, hello.theirs));
  EXPECT_TRUE(same_settings(std::get<Hello>(*back).ours, hello.ours));
  EXPECT_TRUE(std::holds_alternative<Freeze>(*parse_to_supervisor(encode(ToSupervisor(Freeze())))));
  EXPECT_TRUE(std::holds_alternative<Thaw>(*parse_to_supervisor(encode(ToSupervisor(Thaw())))));
  EXPECT_EQ(std::get<SignalAgent>(*parse_to_supervisor(encode(ToSupervisor(SignalAgent{SIGTERM})))).number, SIGTERM);
}

TEST(RelayProtocol, CarriesEveryMessageToTheRelay) {
  EXPECT_TRUE(std::holds_alternative<Master>(*parse_to_relay(encode(ToRelay(Master())))));
  EXPECT_TRUE(std::holds_alternative<Frozen>(*parse_to_relay(encode(ToRelay(Frozen())))));
  EXPECT_EQ(std::get<Notice>(*parse_to_relay(encode(ToRelay(Notice{"stockade: hello"})))).text, "stockade: hello");
  EXPECT_EQ(std::get<Ended>(*parse_to_relay(encode(ToRelay(Ended{137})))).code, 137);
  EXPECT_EQ(std::get<Notice>(*parse_to_relay(encode(ToRelay(Notice{std::string(9999, 'x')})))).text.size(),
            kNoticeLimit);
}

TEST(RelayProtocol, RefusesWhatIsCutExtendedOrUnknown) {
  for (const ToSupervisor& message : {ToSupervisor(Hello()), ToSupervisor(Thaw()), ToSupervisor(SignalAgent{SIGINT})}) {
    const std::string bytes = encode(message);
    for (size_t size = 0; size < bytes.size(); ++size) EXPECT_FALSE(parse_to_supervisor(bytes.substr(0, size)));
    EXPECT_FALSE(parse_to_supervisor(bytes + "x"));
  }
  EXPECT_FALSE(parse_to_supervisor("\x04"));
  EXPECT_FALSE(parse_to_relay("\x7f"));
}

TEST(RelayProtocol, LetsTheRelaySendNoOtherSignal) {
  for (const int number : {0, -1, SIGKILL, SIGSTOP, SIGUSR1, 64})
    EXPECT_FALSE(parse_to_supervisor(encode(ToSupervisor(SignalAgent{number})))) << number;
}

}  // namespace
}  // namespace stockade::terminal
