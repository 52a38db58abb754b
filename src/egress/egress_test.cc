// The whole path, from a connect inside to a server outside, with the real workers (world_test.h).
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "egress/world_test.h"

namespace stockade::egress::world {
namespace {

using event::Decision;

void greet_and_echo(int socket) {
  send_all(socket, "hello from upstream\n");
  char buffer[4096];
  ssize_t count;
  while ((count = ::recv(socket, buffer, sizeof(buffer), 0)) > 0) {
    __atomic_add_fetch(&counters().bytes_received, count, __ATOMIC_SEQ_CST);
    if (!send_all(socket, std::string_view(buffer, static_cast<size_t>(count)))) break;
  }
}

TEST(Egress, ConnectsByNameAndPassesBytesBothWays) {
  Script script;
  script.policy = policy_of({allow("db.example", 5432, policy::Protocol::tcp)});
  script.servers = [](Servers& servers) {
    servers.dns("9.9.9.9:53", {{"db.example", {"93.184.216.34"}}});
    servers.tcp("93.184.216.34:5432", greet_and_echo);
  };
  script.agent = [] {
    const int fd = connect_to_name("db.example", 5432);
    if (fd < 0) return 1;
    if (receive_all(fd, 20) != "hello from upstream\n") return 2;
    if (!send_all(fd, "select 1")) return 3;
    if (receive_all(fd, 8) != "select 1") return 4;
    ::shutdown(fd, SHUT_WR);
    return receive_all(fd).empty() ? 0 : 5;
  };
  script.check = [](const auto& events, const Counters& seen) {
    EXPECT_EQ(count_events(events, "connect", Decision::allow, "db.example:5432"), 1);
    EXPECT_EQ(count_events(events, "name", Decision::allow, "db.example"), 1);
    EXPECT_EQ(count_events(events, "connect", Decision::deny), 0);
    EXPECT_EQ(seen.connections, 1);
    EXPECT_EQ(seen.bytes_received, 8);
  };
  play_as_both(script);
}

}  // namespace
}  // namespace stockade::egress::world
