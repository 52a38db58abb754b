// Plain protocols on their whole path: what reaches the server, in the clear and inside the TLS that both sides agreed
// on, what the log says, and that no byte of a secret arrives.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "egress/world_test.h"
#include "net/tls_authority.h"
#include "net/tls_session.h"

namespace stockade::egress::world {
namespace {

using event::Decision;
using policy::Protocol;
using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::string_literals;

const std::string kToken = "glpat-Zk82hdKq01mmXv93bQwe";  // made up
const std::string kPgSsl = "\0\0\0\x08\x04\xd2\x16\x2f"s;
const std::string kPgStart = "\0\0\0\x22\0\3\0\0user\0alice\0database\0shop\0\0"s;

// One end of a connection, blocking, in the clear and later inside TLS.
class End {
 public:
  explicit End(int socket) : socket_(socket) {}
  bool begin_tls(net::TlsSession session) {
    tls_.emplace(std::move(session));
    if (!heard_.empty() && !tls_->feed(std::exchange(heard_, {}))) return false;
    while (tls_->state() == net::TlsState::handshake) {
      if (!flush()) return false;
      if (tls_->state() != net::TlsState::handshake) break;
      if (!fill()) {
        (void)flush();  // an alert
        return false;
      }
    }
    return flush() && tls_->state() == net::TlsState::open;
  }
  std::string alpn() const { return tls_->alpn(); }
  bool say(std::string_view bytes) {
    if (!tls_) return send_all(socket_, bytes);
    return tls_->write(bytes) && flush();
  }
  // At most what has come; empty at the end.
  std::string hear() {
    if (!tls_) return receive();
    while (true) {
      auto plain = tls_->read(16384);
      if (!plain || !plain->empty()) return plain ? *plain : ""s;
      if (tls_->state() == net::TlsState::closed || !fill()) return {};
    }
  }
  bool hear(std::string_view expected) {
    while (heard_.size() < expected.size()) {
      const std::string more = hear();
      if (more.empty()) break;
      heard_ += more;
    }
    const bool same = heard_.substr(0, expected.size()) == expected;
    if (!same) fmt::print(stderr, "heard: {}\nwanted: {}\n", heard_, expected);
    heard_.erase(0, expected.size());
    return same;
  }
  std::string hear_to_end() {
    std::string all = std::exchange(heard_, {});
    for (std::string more = hear(); !more.empty(); more = hear()) all += more;
    return all;
  }

 private:
  std::string receive() {
    char buffer[16384];
    const ssize_t count = ::recv(socket_, buffer, sizeof(buffer), 0);
    return count > 0 ? std::string(buffer, static_cast<size_t>(count)) : std::string();
  }
  bool fill() {
    const std::string bytes = receive();
    return !bytes.empty() && tls_->feed(bytes).has_value();
  }
  bool flush() {
    while (tls_->has_output())
      if (!send_all(socket_, tls_->take_output())) return false;
    return true;
  }
  int socket_;
  std::optional<net::TlsSession> tls_;
  std::string heard_;
};

// The servers' own authority, and the file by which the policy trusts it.
struct Trust {
  Trust() : authority(net::CertificateAuthority::create("servers", std::chrono::system_clock::now()).value()) {
    char name[] = "/tmp/plain_path_XXXXXX";
    const int fd = ::mkstemp(name);
    path = name;
    const std::string pem = authority.pem();
    (void)!::write(fd, pem.data(), pem.size());
    (void)::fchmod(fd, 0644);
    ::close(fd);
  }
  ~Trust() { std::filesystem::remove(path); }
  net::TlsSession towards_client(const std::string& name, std::vector<std::string> alpn = {}) {
    static auto context = net::TlsContext::for_server().value();
    return net::TlsSession::from_client(context, **authority.leaf_for(name), alpn).value();
  }
  net::CertificateAuthority authority;
  std::string path;
};

// What a client inside does: it trusts the run's authority alone.
net::TlsSession towards_server(const std::string& name, std::vector<std::string> alpn = {}) {
  static auto context = net::TlsContext::for_client(run_authority()).value();
  return net::TlsSession::to_server(context, name, nullptr, alpn).value();
}

policy::NetworkRule plain(const std::string& host, int port) {
  auto rule = allow(host, port, Protocol::tcp);
  rule.tls = policy::TlsMode::unset;
  return rule;
}

struct Server {
  int port;
  std::function<void(End&)> talk;
};

// One host, db.example, with one server. Without the search for secrets, which takes a moment to start.
Script world_of(std::shared_ptr<Trust> trust, Server server, policy::NetworkRule rule) {
  Script script;
  script.policy = policy_of({std::move(rule)});
  script.policy.network.trust = {trust->path};
  script.policy.network.inspect.secrets = policy::InspectionLevel::off;
  script.servers = [server](Servers& servers) {
    servers.dns("9.9.9.9:53", {{"db.example", {"93.184.216.34"}}});
    servers.tcp(fmt::format("93.184.216.34:{}", server.port), [server](int socket) {
      End end(socket);
      server.talk(end);
    });
  };
  return script;
}

void note_all(End& end) {
  for (std::string bytes = end.hear(); !bytes.empty(); bytes = end.hear()) {
    note_received(bytes);
    end.say("ok");
  }
}

Server postgres(std::shared_ptr<Trust> trust, const std::string& name = "db.example", const std::string& answer = "S") {
  return {5432, [=](End& end) {
            if (end.hear() != kPgSsl || !end.say(answer)) return;
            if (answer == "S" && !end.begin_tls(trust->towards_client(name, {"postgresql"}))) return;
            note_all(end);
          }};
}

const event::Event* find_session(const std::vector<event::Event>& events, Decision decision, std::string_view reason) {
  for (const auto& event : events)
    if (event.kind == "session" && event.decision == decision && event.reason.find(reason) != std::string::npos)
      return &event;
  return nullptr;
}

std::string evidence(const event::Event* event, std::string_view key) {
  const std::string* value = event ? event->find_evidence(key) : nullptr;
  return value ? *value : "";
}

TEST(PlainPath, OpensTheTlsThatPostgresqlAsksFor) {
  auto trust = std::make_shared<Trust>();
  Script script = world_of(trust, postgres(trust), plain("db.example", 5432));
  script.policy.network.inspect.secrets = policy::InspectionLevel::deny;
  script.agent = [] {
    const int fd = connect_to_name("db.example", 5432);
    End end(fd);
    if (!end.say(kPgSsl) || !end.hear("S")) return 1;
    if (!end.begin_tls(towards_server("db.example", {"x", "postgresql"}))) return 2;
    if (end.alpn() != "postgresql") return 3;
    if (!end.say(kPgStart) || !end.hear("ok")) return 4;
    if (!end.say("Q\0\0\0\x0dselect 1\0"s) || !end.hear("ok")) return 5;
    if (!end.say("X '" + kToken + "'\0"s)) return 6;
    return end.hear_to_end().empty() ? 0 : 7;
  };
  script.check = [](const auto& events, const Counters& counters) {
    EXPECT_EQ(counters.received_bytes(), kPgStart + "Q\0\0\0\x0dselect 1\0"s);
    EXPECT_TRUE(find_session(events, Decision::allow, "goes on inside TLS"));
    const auto* inside = find_session(events, Decision::allow, "postgresql inside TLS");
    EXPECT_EQ(evidence(inside, "user"), "alice");
    EXPECT_EQ(evidence(inside, "database"), "shop");
    EXPECT_EQ(evidence(inside, "tls"), "opened");
    const auto* refused = find_session(events, Decision::deny, "a secret in its bytes: GitLab");
    EXPECT_EQ(evidence(refused, "protocol"), "postgresql");
    for (const auto& event : events)
      for (const auto& [key, value] : event.evidence) EXPECT_THAT(value, Not(HasSubstr(kToken)));
  };
  play_as_both(script);
}

TEST(PlainPath, GoesOnInTheClearWhereTheServerDeclines) {
  auto trust = std::make_shared<Trust>();
  Script script = world_of(trust, postgres(trust, "", "N"), plain("db.example", 5432));
  script.agent = [] {
    const int fd = connect_to_name("db.example", 5432);
    End end(fd);
    if (!end.say(kPgSsl) || !end.hear("N")) return 1;
    if (!end.say(kPgStart) || !end.hear("ok")) return 2;
    ::shutdown(fd, SHUT_WR);
    return end.hear_to_end().empty() ? 0 : 3;
  };
  script.check = [](const auto& events, const Counters& counters) {
    EXPECT_EQ(counters.received_bytes(), kPgStart);
    EXPECT_EQ(evidence(find_session(events, Decision::allow, "postgresql"), "user"), "alice");
    EXPECT_EQ(count_events(events, "session", Decision::deny), 0);
  };
  play_as_both(script);
}

TEST(PlainPath, RefusesAServerThatDoesNotProveToBeTheOneMeant) {
  for (const bool known : {true, false}) {
    auto trust = std::make_shared<Trust>();
    auto other = std::make_shared<Trust>();
    Script script = world_of(trust, postgres(known ? trust : other, known ? "evil.example" : "db.example"),
                             plain("db.example", 5432));
    script.agent = [] {
      const int fd = connect_to_name("db.example", 5432);
      End end(fd);
      if (!end.say(kPgSsl) || !end.hear("S")) return 1;
      return end.begin_tls(towards_server("db.example")) ? 2 : 0;
    };
    script.check = [](const auto& events, const Counters& counters) {
      EXPECT_EQ(counters.received_bytes(), "");
      EXPECT_TRUE(find_session(events, Decision::deny, "the certificate of db.example"));
    };
    play(script);
  }
}

TEST(PlainPath, RefusesAClientThatAsksTlsForAnotherName) {
  auto trust = std::make_shared<Trust>();
  Script script = world_of(trust, postgres(trust), plain("db.example", 5432));
  script.agent = [] {
    const int fd = connect_to_name("db.example", 5432);
    End end(fd);
    if (!end.say(kPgSsl) || !end.hear("S")) return 1;
    if (!end.say(client_hello("evil.example"))) return 2;
    return end.hear_to_end().starts_with("\x15\x03") ? 0 : 3;
  };
  script.check = [](const auto& events, const Counters& counters) {
    EXPECT_EQ(counters.received_bytes(), "");
    EXPECT_TRUE(find_session(events, Decision::deny, "the TLS server name is evil.example, not db.example"));
  };
  play_as_both(script);
}

// The server consents with its greeting; the client's ClientHello follows its request at once.
TEST(PlainPath, OpensTheTlsOfMysql) {
  const auto packet = [](int sequence, const std::string& body) {
    return std::string{static_cast<char>(body.size()), 0, 0, static_cast<char>(sequence)} + body;
  };
  const std::string greeting =
      packet(0, "\x0a"s + "8.0.36\0"s + "\7\0\0\0abcdefgh\0"s + "\xff\xff\xff\2\0\xff\xdf\x15"s +
                    std::string(10, '\0') + "ijklmnopqrst\0"s + "caching_sha2_password\0"s);
  const std::string flags = "\x8d\xae\xbf\0"s;  // CLIENT_SSL among them
  const std::string request = packet(1, flags + std::string(28, '\0'));
  const std::string login = packet(2, flags + "\0\0\0\1\xff"s + std::string(23, '\0') + "alice\0\x14"s +
                                          std::string(20, 'h') + "shop\0mysql_native_password\0\0"s);
  auto trust = std::make_shared<Trust>();
  auto rule = plain("db.example", 3307);
  rule.speaks = "mysql";
  const Server server{3307, [=](End& end) {
                        if (!end.say(greeting) || !end.hear(request)) return;
                        if (end.begin_tls(trust->towards_client("db.example"))) note_all(end);
                      }};
  Script script = world_of(trust, server, rule);
  script.policy.network.inspect.secrets = policy::InspectionLevel::deny;
  script.agent = [=] {
    const int fd = connect_to_name("db.example", 3307);
    End end(fd);
    if (!end.hear(greeting) || !end.say(request)) return 1;
    if (!end.begin_tls(towards_server("db.example"))) return 2;
    if (!end.say(login) || !end.hear("ok")) return 3;
    if (!end.say(packet(0, "\3select 1 from t")) || !end.hear("ok")) return 4;
    end.say(packet(0, "\3insert into t values ('" + kToken + "')"));
    return end.hear_to_end().empty() ? 0 : 5;
  };
  script.check = [=](const auto& events, const Counters& counters) {
    EXPECT_EQ(counters.received_bytes(), login + packet(0, "\3select 1 from t"));
    EXPECT_EQ(evidence(find_session(events, Decision::allow, "mysql inside TLS"), "user"), "alice");
    EXPECT_TRUE(find_session(events, Decision::deny, "a secret"));
  };
  play_as_both(script);
}

Server mail(std::shared_ptr<Trust> trust) {
  return {25, [=](End& end) {
            if (!end.say("220 mx\r\n") || !end.hear("EHLO a\r\n") || !end.say("250 STARTTLS\r\n")) return;
            if (!end.hear("STARTTLS\r\n") || !end.say("220 go\r\n")) return;
            if (!end.begin_tls(trust->towards_client("db.example"))) return;
            for (std::string line = end.hear(); !line.empty(); line = end.hear()) {
              note_received(line);
              end.say(line == "DATA\r\n" ? "354 go\r\n" : "250 ok\r\n");
            }
          }};
}

TEST(PlainPath, ReadsMailsInsideStarttls) {
  auto trust = std::make_shared<Trust>();
  Script script = world_of(trust, mail(trust), plain("db.example", 25));
  script.policy.network.inspect.secrets = policy::InspectionLevel::deny;
  script.agent = [] {
    const int fd = connect_to_name("db.example", 25);
    End end(fd);
    if (!end.hear("220 mx\r\n") || !end.say("EHLO a\r\n") || !end.hear("250 STARTTLS\r\n")) return 1;
    if (!end.say("STARTTLS\r\n") || !end.hear("220 go\r\n")) return 2;
    if (!end.begin_tls(towards_server("db.example"))) return 3;
    for (const std::string line : {"EHLO a", "MAIL FROM:<a@a.example>", "RCPT TO:<b@b.example>"})
      if (!end.say(line + "\r\n") || !end.hear("250 ok\r\n")) return 4;
    if (!end.say("DATA\r\n") || !end.hear("354 go\r\n")) return 5;
    end.say("Subject: hello\r\n\r\nthe key is " + kToken + "\r\n.\r\n");
    return end.hear_to_end().empty() ? 0 : 6;
  };
  script.check = [](const auto& events, const Counters& counters) {
    EXPECT_THAT(std::string(counters.received_bytes()), HasSubstr("RCPT TO:<b@b.example>\r\nDATA\r\n"));
    EXPECT_THAT(std::string(counters.received_bytes()), Not(HasSubstr("glpat")));
    EXPECT_EQ(evidence(find_session(events, Decision::allow, "smtp inside TLS"), "recipients"), "b@b.example");
    EXPECT_TRUE(find_session(events, Decision::deny, "a secret"));
  };
  play_as_both(script);
}

TEST(PlainPath, RefusesAServerThatSpeaksBehindItsConsent) {
  auto trust = std::make_shared<Trust>();
  const Server server{5432, [](End& end) {
                        end.hear();
                        end.say("S\0\0\0\x08injected"s);
                        note_all(end);
                      }};
  Script script = world_of(trust, server, plain("db.example", 5432));
  script.agent = [] {
    const int fd = connect_to_name("db.example", 5432);
    End end(fd);
    end.say(kPgSsl);
    return end.hear_to_end().empty() ? 0 : 1;
  };
  script.check = [](const auto& events, const Counters&) {
    EXPECT_TRUE(find_session(events, Decision::deny, "behind its consent to TLS"));
  };
  play_as_both(script);
}

TEST(PlainPath, StopsSecretsInTheClearWhateverThePieces) {
  for (const size_t piece : {1000, 9}) {
    auto trust = std::make_shared<Trust>();
    const Server server{6379, note_all};
    Script script = world_of(trust, server, plain("db.example", 6379));
    script.policy.network.inspect.secrets = policy::InspectionLevel::deny;
    script.agent = [piece] {
      const int fd = connect_to_name("db.example", 6379);
      End end(fd);
      if (!end.say("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n") || !end.hear("ok")) return 1;
      const std::string bytes = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$26\r\n" + kToken + "\r\n";
      for (size_t at = 0; at < bytes.size(); at += piece) {
        if (!end.say(bytes.substr(at, piece))) return 0;
        ::usleep(2000);
      }
      const std::string rest = end.hear_to_end();
      return rest.find_first_not_of("ok") == std::string::npos ? 0 : 2;
    };
    script.check = [](const auto& events, const Counters& counters) {
      EXPECT_THAT(std::string(counters.received_bytes()), Not(HasSubstr("glpat")));
      EXPECT_EQ(evidence(find_session(events, Decision::deny, "a secret"), "pattern"), "gitlab-personal-access-token");
    };
    play(script);
  }
}

TEST(PlainPath, LogsSecretsWhereThePolicySaysSoAndSearchesNothingWhereItSaysOff) {
  for (const auto level : {policy::InspectionLevel::log, policy::InspectionLevel::off}) {
    auto trust = std::make_shared<Trust>();
    Script script = world_of(trust, {7000, note_all}, plain("db.example", 7000));
    script.policy.network.inspect.secrets = level;
    script.agent = [] {
      const int fd = connect_to_name("db.example", 7000);
      End end(fd);
      return end.say("put " + kToken + "\n") && end.hear("ok") ? 0 : 1;
    };
    script.check = [level](const auto& events, const Counters& counters) {
      EXPECT_EQ(counters.received_bytes(), "put " + kToken + "\n");
      const bool logged = level == policy::InspectionLevel::log;
      EXPECT_EQ(find_session(events, Decision::log, "a secret") != nullptr, logged);
      EXPECT_EQ(count_events(events, "session", Decision::deny), 0);
    };
    play(script);
  }
}

TEST(PlainPath, HoldsASecretUntilAPersonDecides) {
  for (const bool granted : {true, false}) {
    auto trust = std::make_shared<Trust>();
    Script script = world_of(trust, {7000, note_all}, plain("db.example", 7000));
    script.policy.network.inspect.secrets = policy::InspectionLevel::ask;
    script.person = [granted](const event::Event& asked, const OnAnswer& then) {
      EXPECT_EQ(asked.kind, "session");
      then({granted, granted ? "" : "a person denied it", 0});
    };
    script.agent = [granted] {
      const int fd = connect_to_name("db.example", 7000);
      End end(fd);
      if (!end.say("put " + kToken + "\n")) return 1;
      return granted ? (end.hear("ok") ? 0 : 2) : (end.hear_to_end().empty() ? 0 : 3);
    };
    script.check = [granted](const auto& events, const Counters& counters) {
      EXPECT_EQ(count_events(events, "session", Decision::ask), 1);
      EXPECT_EQ(counters.received_bytes() == "put " + kToken + "\n", granted);
      if (granted) return;
      EXPECT_THAT(std::string(counters.received_bytes()), Not(HasSubstr("glpat")));
      EXPECT_NE(find_session(events, Decision::deny, "a person denied it"), nullptr);
    };
    play(script);
  }
}

TEST(PlainPath, PassesThroughUnreadWhereTheRuleSaysSo) {
  auto trust = std::make_shared<Trust>();
  auto rule = plain("db.example", 5432);
  rule.tls = policy::TlsMode::passthrough;
  Script script = world_of(trust, {5432, note_all}, rule);
  script.policy.network.inspect.secrets = policy::InspectionLevel::deny;
  script.agent = [] {
    const int fd = connect_to_name("db.example", 5432);
    End end(fd);
    return end.say("no PostgreSQL, and " + kToken) && end.hear("ok") ? 0 : 1;
  };
  script.check = [](const auto& events, const Counters& counters) {
    EXPECT_THAT(std::string(counters.received_bytes()), HasSubstr(kToken));
    EXPECT_EQ(count_events(events, "session", Decision::allow), 0);
  };
  play_as_both(script);
}

TEST(PlainPath, RefusesAnotherProtocolThanTheOneThatIsExpected) {
  auto trust = std::make_shared<Trust>();
  Script script = world_of(trust, {5432, note_all}, plain("db.example", 5432));
  script.agent = [] {
    const int fd = connect_to_name("db.example", 5432);
    return was_reset(fd, "GET / HTTP/1.1\r\nHost: db.example\r\n\r\n") ? 0 : 1;
  };
  script.check = [](const auto& events, const Counters& counters) {
    EXPECT_EQ(counters.received_bytes(), "");
    EXPECT_TRUE(find_session(events, Decision::deny, "postgresql: "));
  };
  play_as_both(script);
}

TEST(PlainPath, LetsNoTlsBeginInAProtocolThatNobodyKnows) {
  auto trust = std::make_shared<Trust>();
  Script script = world_of(trust, {7000, note_all}, plain("db.example", 7000));
  script.agent = [] {
    const int fd = connect_to_name("db.example", 7000);
    End end(fd);
    if (!end.say("STARTTLS\n") || !end.hear("ok")) return 1;
    return was_reset(fd, client_hello("db.example")) ? 0 : 2;
  };
  script.check = [](const auto& events, const Counters& counters) {
    EXPECT_EQ(counters.received_bytes(), "STARTTLS\n");
    EXPECT_TRUE(find_session(events, Decision::deny, "TLS begins inside a protocol that is not known"));
  };
  play_as_both(script);
}

TEST(PlainPath, OpensTlsFromTheFirstByteWithoutAServerName) {
  auto trust = std::make_shared<Trust>();
  const Server server{6380, [=](End& end) {
                        if (end.begin_tls(trust->towards_client("db.example"))) note_all(end);
                      }};
  Script script = world_of(trust, server, plain("db.example", 6380));
  script.agent = [] {
    const int fd = connect_to_name("db.example", 6380);
    End end(fd);
    if (!end.begin_tls(towards_server("db.example"))) return 1;
    return end.say("PING\r\n") && end.hear("ok") ? 0 : 2;
  };
  script.check = [](const auto&, const Counters& counters) { EXPECT_EQ(counters.received_bytes(), "PING\r\n"); };
  play_as_both(script);
}

// Large amounts go through whole, in both directions at once, in the clear and inside TLS.
TEST(PlainPath, CarriesBulk) {
  for (const bool tls : {false, true}) {
    auto trust = std::make_shared<Trust>();
    const Server server{7000, [=](End& end) {
                          if (tls && !end.begin_tls(trust->towards_client("db.example"))) return;
                          size_t size = 0;
                          for (std::string more = end.hear(); !more.empty(); more = end.hear()) {
                            size += more.size();
                            if (!end.say(more)) return;
                            if (size == 3'000'000) return;
                          }
                        }};
    Script script = world_of(trust, server, plain("db.example", 7000));
    script.policy.network.inspect.secrets = policy::InspectionLevel::deny;
    script.agent = [=] {
      const int fd = connect_to_name("db.example", 7000);
      End end(fd);
      if (tls && !end.begin_tls(towards_server("db.example"))) return 1;
      for (int i = 0; i < 30; ++i) {
        std::string bytes;
        for (int k = 0; k < 100'000; ++k) bytes += static_cast<char>(' ' + (k * 31 + i) % 90);
        if (!end.say(bytes) || !end.hear(bytes)) return 2;
      }
      return 0;
    };
    script.check = [](const auto& events, const Counters&) {
      EXPECT_EQ(count_events(events, "session", Decision::deny), 0);
    };
    play(script);
  }
}

TEST(PlainPath, WorksThroughAnExplicitProxy) {
  auto trust = std::make_shared<Trust>();
  Script script = world_of(trust, postgres(trust), plain("db.example", 5432));
  script.proxy_port = 3128;
  script.agent = [] {
    const int fd = connect_to("127.0.0.1:3128");
    End end(fd);
    if (!end.say("CONNECT db.example:5432 HTTP/1.1\r\nHost: db.example:5432\r\n\r\n")) return 1;
    std::string reply;
    while (reply.find("\r\n\r\n") == std::string::npos) {
      const std::string more = end.hear();
      if (more.empty()) return 2;
      reply += more;
    }
    if (!reply.starts_with("HTTP/1.1 200") || !end.say(kPgSsl) || !end.hear("S")) return 3;
    if (!end.begin_tls(towards_server("db.example"))) return 4;
    return end.say(kPgStart) && end.hear("ok") ? 0 : 5;
  };
  script.check = [](const auto& events, const Counters& counters) {
    EXPECT_EQ(counters.received_bytes(), kPgStart);
    EXPECT_TRUE(find_session(events, Decision::allow, "postgresql inside TLS"));
  };
  play(script);
}

}  // namespace
}  // namespace stockade::egress::world
