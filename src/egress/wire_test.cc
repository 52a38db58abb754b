#include "egress/wire.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "net/tls_authority.h"

namespace stockade::egress {

namespace {

constexpr Duration kPatience = std::chrono::seconds(10);

struct Made {
  net::CertificateAuthority authority =
      net::CertificateAuthority::create("test", std::chrono::system_clock::now()).value();
  net::TlsContext to_server = net::TlsContext::for_client(authority.pem()).value();
  net::TlsContext from_client = net::TlsContext::for_server().value();
  SystemClock clock;
  std::unique_ptr<loop::Loop> loop = loop::Loop::create(clock).value();

  std::pair<Wire, Wire> pair() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    return {Wire(loop::AsyncFd::adopt(*loop, Fd(ends[0])).value()),
            Wire(loop::AsyncFd::adopt(*loop, Fd(ends[1])).value())};
  }
  TimePoint deadline() const { return clock.now() + kPatience; }
  void turn_until(const bool& done) {
    const TimePoint end = deadline();
    while (!done && clock.now() < end) ASSERT_TRUE(loop->run_once(std::chrono::milliseconds(50)));
    ASSERT_TRUE(done) << "nothing more happened";
  }
};

loop::Task<void> shake(Made& made, Wire& wire, bool client, Result<void>& outcome, int& finished) {
  auto session =
      client ? net::TlsSession::to_server(made.to_server, "a.example", nullptr, {"http/1.1"})
             : net::TlsSession::from_client(made.from_client, **made.authority.leaf_for("a.example"), {"http/1.1"});
  outcome = co_await wire.begin_tls(*made.loop, std::move(*session), "", made.deadline());
  ++finished;
}

loop::Task<void> send_all(Made& made, Wire& wire, std::string bytes) {
  auto sent = co_await wire.write(bytes, made.deadline());
  EXPECT_TRUE(sent);
  co_await wire.finish(made.deadline());
}

loop::Task<void> read_all(Made& made, Wire& wire, std::string& into, Result<void>& outcome, bool& done) {
  while (true) {
    auto count = co_await wire.read(into, made.deadline());
    if (!count) outcome = std::unexpected(std::move(count).error());
    if (!count || *count == 0) break;
  }
  done = true;
}

struct Secured {
  explicit Secured(Made& made) : wires(made.pair()) {
    int finished = 0;
    Result<void> a, b;
    made.loop->spawn(shake(made, wires.first, true, a, finished));
    made.loop->spawn(shake(made, wires.second, false, b, finished));
    const TimePoint end = made.deadline();
    while (finished < 2 && made.clock.now() < end) EXPECT_TRUE(made.loop->run_once(std::chrono::milliseconds(50)));
    EXPECT_TRUE(a && b && finished == 2);
  }
  std::pair<Wire, Wire> wires;
};

TEST(Wire, CarriesMegabytesBothWaysAtOnceInsideTls) {
  Made made;
  Secured secured(made);
  auto& [client, server] = secured.wires;
  EXPECT_EQ(client.alpn(), "http/1.1");
  const std::string out(3'000'000, 'o'), in(2'000'000, 'i');
  std::string out_arrived, in_arrived;
  Result<void> a, b;
  bool a_done = false, b_done = false;
  made.loop->spawn(send_all(made, client, out));
  made.loop->spawn(send_all(made, server, in));
  made.loop->spawn(read_all(made, server, out_arrived, a, a_done));
  made.loop->spawn(read_all(made, client, in_arrived, b, b_done));
  made.turn_until(a_done);
  made.turn_until(b_done);
  EXPECT_TRUE(a && b);
  EXPECT_EQ(out_arrived, out);
  EXPECT_EQ(in_arrived, in);
}

TEST(Wire, TakesAnEndWithoutGoodbyeForACutInsideTlsOnly) {
  for (const bool tls : {true, false}) {
    Made made;
    std::optional<Secured> secured;
    std::pair<Wire, Wire> plain;
    if (tls)
      secured.emplace(made);
    else
      plain = made.pair();
    auto& [client, server] = tls ? secured->wires : plain;
    ::shutdown(client.get(), SHUT_WR);
    std::string nothing;
    Result<void> outcome;
    bool done = false;
    made.loop->spawn(read_all(made, server, nothing, outcome, done));
    made.turn_until(done);
    EXPECT_EQ(outcome.has_value(), !tls);
    if (!outcome) {
      EXPECT_EQ(outcome.error().kind(), ErrorKind::unavailable);
    }
  }
}

loop::Task<void> relay(Made& made, std::shared_ptr<Wire> a, std::shared_ptr<Wire> b, bool& done) {
  co_await relay_wires(*made.loop, std::move(a), std::move(b));
  done = true;
}

TEST(Wire, RelaysBetweenClearAndTlsUntilBothDirectionsHaveEnded) {
  Made made;
  Secured secured(made);
  auto plain = made.pair();
  bool relayed = false;
  made.loop->spawn(relay(made, std::make_shared<Wire>(std::move(plain.second)),
                         std::make_shared<Wire>(std::move(secured.wires.first)), relayed));
  Wire& outer = secured.wires.second;
  const std::string request(200'000, 'q'), response(300'000, 'r');
  std::string request_arrived, response_arrived;
  Result<void> a, b;
  bool a_done = false, b_done = false;
  made.loop->spawn(send_all(made, plain.first, request));
  made.loop->spawn(read_all(made, outer, request_arrived, a, a_done));
  made.turn_until(a_done);
  EXPECT_FALSE(relayed);
  made.loop->spawn(send_all(made, outer, response));
  made.loop->spawn(read_all(made, plain.first, response_arrived, b, b_done));
  made.turn_until(b_done);
  made.turn_until(relayed);
  EXPECT_EQ(request_arrived, request);
  EXPECT_EQ(response_arrived, response);
}

TEST(Wire, HandsABreakOnToTheOtherSide) {
  Made made;
  Secured secured(made);
  auto plain = made.pair();
  bool relayed = false;
  made.loop->spawn(relay(made, std::make_shared<Wire>(std::move(plain.second)),
                         std::make_shared<Wire>(std::move(secured.wires.first)), relayed));
  secured.wires.second.close();  // without a goodbye
  made.turn_until(relayed);
  std::string nothing;
  Result<void> outcome;
  bool done = false;
  made.loop->spawn(read_all(made, plain.first, nothing, outcome, done));
  made.turn_until(done);
  EXPECT_EQ(nothing, "");
}

}  // namespace

}  // namespace stockade::egress
