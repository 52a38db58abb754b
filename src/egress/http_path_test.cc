// Plain HTTP on its whole path: which requests reach the server, and what the others get to read.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "egress/world_test.h"
#include "net/http1.h"
#include "net/http1_body.h"
#include "net/websocket_handshake.h"

namespace stockade::egress::world {
namespace {

using event::Decision;
using policy::Protocol;

constexpr const char* kWebSocketKey = "dGhlIHNhbXBsZSBub25jZQ==";

// Answers each request with its method, path and the number of body bytes; /close, /101, /early and /pieces are
// special.
void http_server(int socket) {
  std::string buffer;
  char piece[4096];
  const auto fill = [&] {
    const ssize_t count = ::recv(socket, piece, sizeof(piece), 0);
    if (count > 0) buffer.append(piece, static_cast<size_t>(count));
    return count > 0;
  };
  while (true) {
    net::HeadReader reader;
    while (!reader.complete()) {
      const auto taken = reader.feed(buffer);
      if (!taken) return;
      buffer.erase(0, *taken);
      if (!reader.complete() && !fill()) return;
    }
    const auto head = net::parse_request_head(reader.take(), net::RequestPlace::origin);
    if (!head) return;
    if (head->expects_continue) send_all(socket, "HTTP/1.1 100 Continue\r\n\r\n");
    net::BodyFramer framer(head->body, net::MessageSide::request);
    std::string body;
    while (!framer.done()) {
      if (buffer.empty() && !fill()) return;
      const auto taken = framer.consume(buffer, &body);
      if (!taken) return;
      buffer.erase(0, *taken);
    }
    if (head->path == "/101") {
      send_all(socket, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                       "Sec-WebSocket-Accept: " + net::websocket_accept(kWebSocketKey) + "\r\n\r\n\x81\x06" "frames");
      while (fill()) {
        send_all(socket, std::string("\x82") + static_cast<char>(buffer.size()) + buffer);  // what came, as a message
        buffer.clear();
      }
      return;
    }
    const std::string answer = fmt::format("{} {} {}", head->method, head->target, body.size());
    if (head->path == "/pieces")
      send_all(socket, fmt::format("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n0\r\n\r\n",
                                   answer.size(), answer));
    else if (head->path == "/close")
      send_all(socket, "HTTP/1.1 200 OK\r\n\r\n" + answer);
    else
      send_all(socket, fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", answer.size(),
                                   head->method == "HEAD" ? "" : answer));
    if (head->path == "/close" || !head->keep_alive) return;
  }
}

policy::NetworkRule limited(const std::string& host, std::vector<std::string> methods, std::vector<std::string> paths) {
  auto rule = allow(host, 80, Protocol::http);
  rule.methods = std::move(methods);
  rule.paths = std::move(paths);
  return rule;
}

void web_world(Servers& servers) {
  servers.dns("9.9.9.9:53", {{"web.example", {"93.184.216.34"}}, {"other.example", {"93.184.216.35"}}});
  servers.tcp("93.184.216.34:80", http_server);
  servers.tcp("93.184.216.35:80", http_server);
}

// One exchange on a connection of its own; the whole answer.
std::string ask(const std::string& request, const std::string& name = "web.example") {
  const int fd = connect_to_name(name, 80);
  if (fd < 0 || !send_all(fd, request)) return "no connection";
  std::string answer = receive_all(fd);
  ::close(fd);
  return answer;
}

std::string get(const std::string& path, const std::string& more = "") {
  return fmt::format("GET {} HTTP/1.1\r\nHost: web.example\r\n{}Connection: close\r\n\r\n", path, more);
}

bool expect_text(const std::string& answer, const std::string& start, const std::string& part) {
  if (answer.starts_with(start) && answer.find(part) != std::string::npos) return true;
  fmt::print(stderr, "got: {}\nwanted: {} … {}\n", answer, start, part);
  return false;
}

TEST(PlainHttp, HoldsEachRequestThatAsksByItself) {
  Script script;
  script.policy = policy_of({limited("web.example", {"GET"}, {}), limited("web.example", {"POST"}, {})});
  script.policy.network.allow[1].ask = true;
  script.servers = web_world;
  script.person = [](const event::Event& asked, OnAnswer then) {
    EXPECT_EQ(*asked.find_evidence("method"), "POST");
    const bool good = *asked.find_evidence("path") == "/good";
    then({good, good ? "" : "a person denied it", 0});
  };
  script.agent = [] {
    const std::string rest = " HTTP/1.1\r\nHost: web.example\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
    if (!expect_text(ask(get("/a")), "HTTP/1.1 200", "GET /a 0")) return 1;
    for (int i = 0; i < 2; ++i)
      if (!expect_text(ask("POST /good" + rest), "HTTP/1.1 200", "POST /good 5")) return 2;
    return expect_text(ask("POST /bad" + rest), "HTTP/1.1 403", "a person denied it") ? 0 : 3;
  };
  script.check = [](const auto& events, const Counters&) {
    EXPECT_EQ(count_events(events, "request", Decision::ask), 3) << "one approval, one request";
    EXPECT_EQ(count_events(events, "request", Decision::allow), 3);
    EXPECT_EQ(count_events(events, "connect", Decision::ask), 0);
    EXPECT_EQ(count_events(events, "request", Decision::deny), 1);
  };
  play_as_both(script);
}

TEST(PlainHttp, PassesEveryKindOfBodyAndAnswer) {
  Script script;
  script.policy = policy_of({allow("web.example", 80)});
  script.servers = web_world;
  script.agent = [] {
    if (!expect_text(ask(get("/a?b=c")), "HTTP/1.1 200", "GET /a?b=c 0")) return 1;
    if (!expect_text(ask(get("/pieces")), "HTTP/1.1 200", "GET /pieces 0\r\n0\r\n\r\n")) return 2;
    if (!expect_text(ask(get("/close")), "HTTP/1.1 200", "GET /close 0")) return 3;
    const std::string host = "Host: web.example\r\nConnection: close\r\n";
    if (!expect_text(ask("POST /p HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nhello"), "HTTP/1.1 200",
                     "POST /p 5"))
      return 4;
    if (!expect_text(ask("POST /p HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
                     "HTTP/1.1 200", "POST /p 5"))
      return 5;
    const std::string large(3'000'000, 'x');
    if (!expect_text(ask(fmt::format("PUT /big HTTP/1.1\r\n{}Content-Length: {}\r\nExpect: 100-continue\r\n\r\n{}",
                                     host, large.size(), large)),
                     "HTTP/1.1 100 Continue", "PUT /big 3000000"))
      return 6;
    const std::string head = ask("HEAD /h HTTP/1.1\r\n" + host + "\r\n");
    if (!expect_text(head, "HTTP/1.1 200", "Content-Length") || !head.ends_with("\r\n\r\n")) return 7;
    return 0;
  };
  script.check = [](const auto& events, const Counters&) {
    EXPECT_EQ(count_events(events, "request", Decision::allow, "web.example:80"), 7);
    EXPECT_EQ(count_events(events, "connect", Decision::deny), 0);
    const std::string* path = events.empty() ? nullptr : events.front().find_evidence("path");
    EXPECT_TRUE(path && *path == "/a");
  };
  play_as_both(script);
}

TEST(PlainHttp, JudgesEveryRequestOfAPipelinedConnection) {
  Script script;
  script.policy = policy_of({limited("web.example", {"GET"}, {"/public/**"})});
  script.servers = web_world;
  script.agent = [] {
    const std::string keep = "Host: web.example\r\n\r\n";
    const std::string answer = ask("GET /public/1 HTTP/1.1\r\n" + keep + "GET /public/2 HTTP/1.1\r\n" + keep +
                                   "GET /secret HTTP/1.1\r\n" + keep + "GET /public/3 HTTP/1.1\r\n" + keep);
    if (!expect_text(answer, "HTTP/1.1 200", "GET /public/2 0HTTP/1.1 403")) return 1;
    if (answer.find("/public/3") != std::string::npos ||
        answer.find("\"type\": \"stockade_blocked\"") == std::string::npos) {
      fmt::print(stderr, "{}\n", answer);
      return 2;
    }
    return 0;
  };
  script.check = [](const auto& events, const Counters& seen) {
    EXPECT_EQ(seen.connections, 1);
    EXPECT_EQ(count_events(events, "request", Decision::allow), 2);
    EXPECT_EQ(count_events(events, "request", Decision::deny), 1);
    EXPECT_NE(events.back().hint, "");
  };
  play(script);
}

TEST(PlainHttp, RefusesWhatNamesAnotherHostOrIsReadInTwoWays) {
  Script script;
  script.policy = policy_of({limited("web.example", {"GET", "POST"}, {"/public/**"})});
  script.servers = web_world;
  script.agent = [] {
    const std::string host = "Host: web.example\r\nConnection: close\r\n";
    const std::vector<std::pair<std::string, std::string>> refused = {
        {"GET /public/x HTTP/1.1\r\nHost: other.example\r\n\r\n", "403"},
        {"GET /public/x HTTP/1.1\r\nHost: web.example:8080\r\n\r\n", "403"},
        {"GET /public/x HTTP/1.1\r\n\r\n", "400"},
        {"GET /public/x HTTP/1.0\r\n\r\n", "400"},
        {"GET http://other.example/public/x HTTP/1.1\r\nHost: web.example\r\n\r\n", "400"},
        {"DELETE /public/x HTTP/1.1\r\n" + host + "\r\n", "403"},
        {"GET /public/../secret HTTP/1.1\r\n" + host + "\r\n", "403"},
        {"GET /public/%2e%2e/secret HTTP/1.1\r\n" + host + "\r\n", "403"},
        {"GET /public/%2fsecret HTTP/1.1\r\n" + host + "\r\n", "403"},
        {"POST /public/x HTTP/1.1\r\n" + host + "X-HTTP-Method-Override: DELETE\r\nContent-Length: 0\r\n\r\n", "403"},
        {"GET /public/x HTTP/1.1\r\n" + host + "X-Original-URL: /secret\r\n\r\n", "403"},
        {"GET /public/x HTTP/1.1\r\nHost: web.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "403"},
        {"GET /public/x HTTP/1.1\r\nHost: web.example\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: "
         "h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
         "403"},
        {"POST /public/x HTTP/1.1\r\n" + host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         "400"},
        {"GET /public/x HTTP/1.1\r\nHost: web.example\r\nHost: web.example\r\n\r\n", "400"},
        {"GET /public/x HTTP/1.1\nHost: web.example\n\n", "400"},
        {"CONNECT other.example:443 HTTP/1.1\r\nHost: other.example:443\r\n\r\n", "40"},
    };
    for (const auto& [request, status] : refused) {
      const std::string answer = ask(request);
      if (!expect_text(answer, "HTTP/1.1 " + status, "stockade_blocked")) {
        fmt::print(stderr, "request: {}\n", request);
        return 1;
      }
    }
    return expect_text(ask(get("/public/x")), "HTTP/1.1 200", "GET /public/x 0") ? 0 : 2;
  };
  script.check = [](const auto& events, const Counters& seen) {
    EXPECT_EQ(seen.connections, 1);
    EXPECT_GE(count_events(events, "request", Decision::deny), 15);
  };
  play(script);
}

// A client's text frame, with a mask of zeros.
std::string frame(const std::string& text) {
  return std::string("\x81") + static_cast<char>(0x80 | text.size()) + std::string(4, '\0') + text;
}

std::string upgrade(const std::string& path) {
  return "GET " + path + " HTTP/1.1\r\nHost: web.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + kWebSocketKey + "\r\n\r\n";
}

bool receive_until(int fd, std::string& got, const std::string& part) {
  while (got.find(part) == std::string::npos) {
    const std::string more = receive_all(fd, 1);
    if (more.empty()) return false;
    got += more;
  }
  return true;
}

TEST(WebSocket, PassesMessageByMessageUnderRulesForPaths) {
  Script script;
  script.policy = policy_of({limited("web.example", {"GET"}, {"/101"})});
  script.servers = web_world;
  script.agent = [] {
    const int fd = connect_to_name("web.example", 80);
    std::string got;
    if (fd < 0 || !send_all(fd, upgrade("/101") + frame("early"))) return 1;
    if (!receive_until(fd, got, "frames") || !receive_until(fd, got, "early")) return 2;
    // In pieces: nothing of it passes before it is whole.
    const std::string slow = frame("slow");
    if (!send_all(fd, slow.substr(0, 8)) || !send_all(fd, slow.substr(8)) || !receive_until(fd, got, slow)) return 3;
    const int other = connect_to_name("web.example", 80);
    if (other < 0 || !send_all(other, upgrade("/other"))) return 4;
    return expect_text(receive_all(other), "HTTP/1.1 403", "/other") ? 0 : 5;
  };
  play(script);
}

TEST(WebSocket, EndsWithItsReasonWhereASecretIsSentOrFramesAreBroken) {
  Script script;
  script.policy = policy_of({allow("web.example", 80)});
  script.servers = web_world;
  script.agent = [] {
    const std::string key = "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";
    for (const std::string& bad : {frame(key), std::string("\xf1\x85")}) {
      const int fd = connect_to_name("web.example", 80);
      std::string got;
      if (fd < 0 || !send_all(fd, upgrade("/101")) || !receive_until(fd, got, "frames")) return 1;
      if (!send_all(fd, bad)) return 2;
      const std::string rest = receive_all(fd);
      if (rest.find(key) != std::string::npos || rest.find("\x03\xf0Stockade refused") == std::string::npos) return 3;
    }
    return 0;
  };
  script.check = [](const auto& events, const Counters&) {
    EXPECT_EQ(count_events(events, "request", Decision::deny, "web.example:80"), 2);
  };
  play(script);
}

TEST(WebSocket, RefusesAHandshakeThatIsNone) {
  Script script;
  script.policy = policy_of({allow("web.example", 80)});
  script.servers = web_world;
  script.agent = [] {
    const std::string answer =
        ask("GET /101 HTTP/1.1\r\nHost: web.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    return expect_text(answer, "HTTP/1.1 403", "version") ? 0 : 1;
  };
  play(script);
}

TEST(PlainHttp, ExplainsARefusedHostOverHttp) {
  Script script;
  script.policy = policy_of({allow("web.example", 80)});
  script.servers = web_world;
  script.agent = [] {
    const std::string answer = ask("GET /x HTTP/1.1\r\nHost: evil.example\r\n\r\n", "evil.example");
    return expect_text(answer, "HTTP/1.1 403", "network.allow") &&
                   expect_text(answer, "HTTP/1.1 403", "stockade-decision: deny; event=1")
               ? 0
               : 1;
  };
  script.check = [](const auto& events, const Counters& seen) {
    EXPECT_EQ(seen.connections, 0);
    EXPECT_EQ(count_events(events, "connect", Decision::deny, "evil.example:80"), 1);
  };
  play(script);
}

TEST(PlainHttp, LetsNothingThroughOnceALimitEndedTheRun) {
  for (const char* kind : {"connect", "request", "name"}) {
    Script script;
    script.policy = policy_of({allow("web.example", 80)});
    script.servers = web_world;
    script.ends_at = kind;
    script.agent = [] { return ask(get("/a")).find("200") == std::string::npos ? 0 : 1; };
    script.check = [](const auto&, const Counters& seen) { EXPECT_EQ(seen.connections, 0); };
    play(script);
  }
}

TEST(PlainHttp, AnswersWithBadGatewayWhenTheServerIsGone) {
  Script script;
  script.policy = policy_of({allow("gone.example", 80), allow("none.example", 80)});
  script.servers = [](Servers& servers) { servers.dns("9.9.9.9:53", {{"gone.example", {"93.184.216.99"}}}); };
  script.agent = [] {
    if (!expect_text(ask("GET / HTTP/1.1\r\nHost: gone.example\r\n\r\n", "gone.example"), "HTTP/1.1 502", "refused"))
      return 1;
    return expect_text(ask("GET / HTTP/1.1\r\nHost: none.example\r\n\r\n", "none.example"), "HTTP/1.1 502",
                       "does not exist")
               ? 0
               : 2;
  };
  play(script);
}

// ---- the explicit proxy
// ----------------------------------------------------------------------------------------------

TEST(ExplicitProxy, JudgesConnectAbsoluteFormAndSocksAlike) {
  Script script;
  script.proxy_port = 3128;
  script.policy = policy_of({allow("web.example", 80), allow("tls.example", 443)});
  script.servers = [](Servers& servers) {
    servers.dns("9.9.9.9:53", {{"web.example", {"93.184.216.34"}}, {"tls.example", {"93.184.216.36"}}});
    servers.tcp("93.184.216.34:80", http_server);
    servers.tcp("93.184.216.36:443", [](int socket) { send_all(socket, receive_all(socket, 20)); });
  };
  script.agent = [] {
    const auto proxied = [](const std::string& request) {
      const int fd = connect_to("127.0.0.1:3128");
      if (fd < 0 || !send_all(fd, request)) return std::string("no connection");
      std::string answer = receive_all(fd);
      ::close(fd);
      return answer;
    };
    if (!expect_text(proxied("GET http://web.example/a HTTP/1.1\r\nHost: web.example\r\nConnection: close\r\n\r\n"),
                     "HTTP/1.1 200", "GET /a 0"))
      return 1;
    if (!expect_text(proxied("GET http://evil.example/a HTTP/1.1\r\nHost: evil.example\r\n\r\n"), "HTTP/1.1 403",
                     "evil.example"))
      return 2;
    if (!expect_text(proxied("CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n"), "HTTP/1.1 403",
                     "evil.example"))
      return 3;
    if (!expect_text(proxied("CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n"), "HTTP/1.1 403",
                     "127.0.0.1"))
      return 4;
    if (!expect_text(proxied("CONNECT 0x7f.1:22 HTTP/1.1\r\nHost: 0x7f.1:22\r\n\r\n"), "HTTP/1.1 40",
                     "stockade_blocked"))
      return 5;
    const std::string hello = client_hello("tls.example");
    const int tunnel = connect_to("127.0.0.1:3128");
    if (!send_all(tunnel, "CONNECT tls.example:443 HTTP/1.1\r\nHost: tls.example:443\r\n\r\n")) return 6;
    if (!receive_all(tunnel, 39).ends_with("\r\n\r\n") || !send_all(tunnel, hello) ||
        receive_all(tunnel, 20) != hello.substr(0, 20))
      return 7;
    const int fronted = connect_to("127.0.0.1:3128");
    send_all(fronted, "CONNECT tls.example:443 HTTP/1.1\r\nHost: tls.example:443\r\n\r\n");
    receive_all(fronted, 39);
    send_all(fronted, client_hello("evil.example"));
    if (!receive_all(fronted).starts_with("\x15\x03")) return 8;
    const int socks = connect_to("127.0.0.1:3128");
    send_all(socks, std::string("\5\1\0", 3));
    if (receive_all(socks, 2) != std::string("\5\0", 2)) return 9;
    send_all(socks, std::string("\5\1\0\3\x0btls.example\x01\xbb", 18));
    if (!receive_all(socks, 10).starts_with(std::string("\5\0", 2))) return 10;
    if (!send_all(socks, hello) || receive_all(socks, 20) != hello.substr(0, 20)) return 11;
    const int refused = connect_to("127.0.0.1:3128");
    send_all(refused, std::string("\5\1\0\5\1\0\1\x7f\0\0\1\0\x16", 13));
    return receive_all(refused).substr(2, 2) == std::string("\5\2", 2) ? 0 : 12;
  };
  script.check = [](const auto& events, const Counters&) {
    EXPECT_EQ(count_events(events, "connect", Decision::allow, "tls.example:443"), 3);
    EXPECT_GE(count_events(events, "connect", Decision::deny), 4);
  };
  play_as_both(script);
}

}  // namespace
}  // namespace stockade::egress::world
