#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/ip_address.h"
#include "cli/arguments.h"
#include "cli/verbs_fixture.h"
#include "event/read.h"
#include "supervisor/control_socket.h"
#include "supervisor/run_directory.h"

namespace stockade::cli {
namespace {

using ::testing::HasSubstr;

int connect_to(const Endpoint& to) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval deadline{10, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline));
  sockaddr_storage address;
  const socklen_t size = to.to_sockaddr(address);
  EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  return fd;
}

std::string exchange(const Endpoint& to, std::string_view request) {
  const Fd fd(connect_to(to));
  EXPECT_TRUE(write_all(fd.get(), request));
  std::string reply;
  char buffer[4096];
  ssize_t count = 0;
  while ((count = ::recv(fd.get(), buffer, sizeof(buffer), 0)) > 0) reply.append(buffer, static_cast<size_t>(count));
  return reply;
}

// Answers every connection with a page, until it is killed.
class Server {
 public:
  Server() {
    Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_storage address{};
    socklen_t size = Endpoint::parse("127.0.0.1:0")->to_sockaddr(address);
    EXPECT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener.get(), 16), 0);
    size = sizeof(address);
    ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
    at_ = *Endpoint::from_sockaddr(address);
    auto child = fork_child([&] {
      ::alarm(60);
      while (true) {
        const Fd client(::accept(listener.get(), nullptr, nullptr));
        char buffer[4096];
        if (::recv(client.get(), buffer, sizeof(buffer), 0) <= 0) continue;
        (void)write_all(client.get(), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
      }
      return 0;
    });
    EXPECT_TRUE(child);
    child_ = std::move(*child);
  }
  uint16_t port() const { return at_.port; }

 private:
  Endpoint at_;
  Pid child_;
};

// `stockade proxy` in a child, from its first line on stderr to its exit status.
class Proxy {
 public:
  explicit Proxy(const std::string& policy) {
    auto pipe = make_pipe();
    EXPECT_TRUE(pipe);
    auto child = fork_child([&] {
      ::alarm(60);
      ::dup2(pipe->write.get(), STDERR_FILENO);
      return proxy({policy, "127.0.0.1:0"});
    });
    EXPECT_TRUE(child);
    child_ = std::move(*child);
    pipe->write.reset();
    said_ = std::move(pipe->read);
    read_said("apply\n");
    const size_t at = text_.find("listening on ");
    if (at == std::string::npos) return;
    const size_t begin = at + 13;
    at_ = Endpoint::parse(text_.substr(begin, text_.find(' ', begin) - begin)).value_or(Endpoint());
    const size_t run = text_.find("as run ") + 7;
    run_ = text_.substr(run, text_.find(';', run) - run);
  }

  std::string request(std::string_view text) const { return exchange(at_, text); }
  std::string get(const std::string& host) const {
    return request(fmt::format("GET http://{}/ HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", host, host));
  }
  Result<supervisor::KnownRun> run() const { return supervisor::find_run(supervisor::find_places(), run_); }
  int terminate() {
    EXPECT_TRUE(child_.signal(SIGTERM));
    return wait();
  }
  int wait() {
    read_said("no such word: to the end");
    const auto status = child_.wait();
    return status && !status->signalled ? status->code : -1;
  }
  const std::string& said() const { return text_; }
  const Endpoint& at() const { return at_; }

 private:
  void read_said(std::string_view word) {
    char buffer[4096];
    while (text_.find(word) == std::string::npos) {
      const ssize_t count = ::read(said_.get(), buffer, sizeof(buffer));
      if (count <= 0) return;
      text_.append(buffer, static_cast<size_t>(count));
    }
  }

  Pid child_;
  Fd said_;
  std::string text_;
  Endpoint at_;
  std::string run_;
};

std::string policy_for(const Server& server, std::string_view rest = "") {
  return fmt::format(
      "version: 1\nnetwork:\n  allow:\n    - {{ address: 127.0.0.1/32, ports: [{}], protocol: http, methods: [GET] "
      "}}\n{}",
      server.port(), rest);
}

TEST(ProxyVerb, LetsThroughWhatThePolicyAllowsAndLogsTheRest) {
  as_both_users([] {
    const TestPerson person;
    const Server server;
    person.write("p.yaml", policy_for(server));
    Proxy proxy("p.yaml");
    ASSERT_NE(proxy.at().port, 0) << proxy.said();
    EXPECT_THAT(proxy.get(fmt::format("127.0.0.1:{}", server.port())), HasSubstr("hello"));
    EXPECT_THAT(proxy.get("evil.example"), HasSubstr("403"));
    EXPECT_THAT(proxy.request("CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: 169.254.169.254:80\r\n\r\n"),
                HasSubstr("403"));
    const std::string socks = proxy.request(std::string("\x05\x01\x00", 3) + std::string("\x05\x01\x00\x03\x04", 5) +
                                            "evil" + std::string("\x01\xbb", 2));
    ASSERT_GE(socks.size(), 4u);
    EXPECT_EQ(socks[3], '\x02');  // not allowed by the ruleset
    EXPECT_EQ(proxy.terminate(), 0) << proxy.said();
    const auto run = proxy.run();
    ASSERT_TRUE(run);
    EXPECT_FALSE(run->running);
    EXPECT_EQ(run->record.counters.at("denials"), 3u);
    EXPECT_EQ(run->record.counters.at("requests"), 1u);
    const auto refused = event::find_refusal(run->state_path, std::nullopt);
    ASSERT_TRUE(refused && *refused);
    EXPECT_EQ((*refused)->event.subject, "evil:443");
    EXPECT_FALSE(std::filesystem::exists(run->socket_path));
  });
}

TEST(ProxyVerb, EndsAtALimitBeforeWhatPassesIt) {
  const TestPerson person;
  const Server server;
  person.write("p.yaml", policy_for(server, "limits: { requests: 1 }\n"));
  Proxy proxy("p.yaml");
  ASSERT_NE(proxy.at().port, 0) << proxy.said();
  const std::string host = fmt::format("127.0.0.1:{}", server.port());
  EXPECT_THAT(proxy.get(host), HasSubstr("hello"));
  EXPECT_EQ(proxy.get(host), "");
  EXPECT_EQ(proxy.wait(), 1);
  EXPECT_THAT(proxy.said(), HasSubstr("limit:requests"));
  const auto run = proxy.run();
  ASSERT_TRUE(run);
  EXPECT_EQ(run->record.ended_by->to_string(), "limit:requests");
}

TEST(ProxyVerb, StandsStillWhilePausedAndEndsAtTheKillSwitch) {
  const TestPerson person;
  const Server server;
  person.write("p.yaml", policy_for(server));
  Proxy proxy("p.yaml");
  ASSERT_NE(proxy.at().port, 0) << proxy.said();
  const auto run = proxy.run();
  ASSERT_TRUE(run && run->running);
  EXPECT_EQ(said_by([&] { return pause(PauseOptions{run->record.id}); }).status, 0);
  const std::string host = fmt::format("127.0.0.1:{}", server.port());
  const Fd client(connect_to(proxy.at()));
  ASSERT_TRUE(write_all(client.get(), fmt::format("GET http://{0}/ HTTP/1.1\r\nHost: {0}\r\n\r\n", host)));
  pollfd waiting{client.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&waiting, 1, 200), 0);
  EXPECT_EQ(said_by([&] { return resume(ResumeOptions{run->record.id}); }).status, 0);
  EXPECT_EQ(::poll(&waiting, 1, 10'000), 1);
  EXPECT_EQ(said_by([&] { return kill(KillOptions{run->record.id, false, "enough"}); }).status, 0);
  EXPECT_EQ(proxy.wait(), 1);
  EXPECT_THAT(proxy.said(), HasSubstr("ended by kill: enough"));
}

TEST(ProxyVerb, SaysThatARuleWithProgramsAllowsNothing) {
  const TestPerson person;
  const Server server;
  person.write("p.yaml",
               fmt::format("version: 1\nnetwork:\n  allow:\n    - {{ address: 127.0.0.1/32, ports: [{}], protocol: "
                           "http, programs: [curl] }}\n",
                           server.port()));
  Proxy proxy("p.yaml");
  ASSERT_NE(proxy.at().port, 0) << proxy.said();
  EXPECT_THAT(proxy.said(), HasSubstr("p.yaml:4:7"));
  EXPECT_THAT(proxy.get(fmt::format("127.0.0.1:{}", server.port())), HasSubstr("403"));
  EXPECT_EQ(proxy.terminate(), 0);
}

TEST(ProxyVerb, StartsNothingWithABadPolicyOrAddress) {
  const TestPerson person;
  person.write("bad.yaml", "version: 1\nnetwork: { allowed: [] }\nlimits: { time: soon }\n");
  const auto bad = said_by([] { return proxy({"bad.yaml", "127.0.0.1:0"}); });
  EXPECT_EQ(bad.status, 1);
  EXPECT_THAT(bad.err, HasSubstr("bad.yaml:2:"));
  EXPECT_THAT(bad.err, HasSubstr("bad.yaml:3:"));
  person.write("good.yaml", "version: 1\n");
  EXPECT_EQ(said_by([] { return proxy({"good.yaml", "localhost:80"}); }).status, 2);
  EXPECT_FALSE(std::filesystem::exists(person.in("state/stockade/audit-head")));
}

}  // namespace
}  // namespace stockade::cli
