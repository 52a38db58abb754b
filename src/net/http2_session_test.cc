#include <gtest/gtest.h>
#include <malloc.h>

#include <fstream>
#include <map>

#include "net/http2_fixture.h"

namespace stockade::net {
namespace {

using namespace http2_fixture;

H2RequestHead request(std::string_view path, std::string_view method = "GET") {
  return {.method = std::string(method),
          .scheme = "https",
          .authority = "a.example",
          .path = std::string(path),
          .protocol = {},
          .fields = {},
          .content_length = {}};
}
H2ResponseHead response(int status, std::vector<HttpField> fields = {}) {
  return {.status = status, .fields = std::move(fields), .content_length = {}};
}

template <typename T>
std::vector<T> only(const std::vector<H2Event>& events) {
  std::vector<T> found;
  for (const H2Event& event : events)
    if (const T* one = std::get_if<T>(&event)) found.push_back(*one);
  return found;
}

std::string body_of(const std::vector<H2Event>& events, int32_t stream) {
  std::string body;
  for (const auto& piece : only<H2Body>(events))
    if (piece.stream == stream) body += piece.bytes;
  return body;
}

// A client and a server, joined in memory.
struct Pair {
  std::unique_ptr<H2Server> server;
  std::unique_ptr<H2Client> client;
  std::vector<H2Event> at_server, at_client;

  explicit Pair(const H2Options& options = https()) : Pair(options, options) {}
  Pair(const H2Options& server_options, const H2Options& client_options)
      : server(H2Server::make(server_options).value()), client(H2Client::make(client_options).value()) {
    exchange();
    at_server.clear();
    at_client.clear();
  }

  void exchange() {
    for (int i = 0; i < 1000; ++i) {
      const std::string up = client->take_output();
      const std::string down = server->take_output();
      for (auto& event : server->take_events()) at_server.push_back(std::move(event));
      for (auto& event : client->take_events()) at_client.push_back(std::move(event));
      if (up.empty() && down.empty()) return;
      (void)server->feed(up);
      (void)client->feed(down);
    }
    FAIL() << "endless exchange";
  }
};

TEST(Http2Session, CarriesARequestAndItsResponse) {
  Pair pair;
  const int32_t stream = pair.client->send_request(request("/x?y=1"), true).value();
  pair.exchange();
  ASSERT_EQ(pair.at_server.size(), 2u);
  const auto& got = std::get<H2Request>(pair.at_server[0]);
  EXPECT_EQ(got.head.path, "/x?y=1");
  EXPECT_TRUE(got.ends);
  EXPECT_TRUE(std::holds_alternative<H2End>(pair.at_server[1]));
  ASSERT_TRUE(pair.server->send_response(stream, response(103, {{"link", "</a>"}}), false));
  ASSERT_TRUE(pair.server->send_response(stream, response(200, {{"content-type", "text/plain"}}), false));
  EXPECT_EQ(pair.server->send_body(stream, "hello ").value(), 6u);
  EXPECT_EQ(pair.server->send_body(stream, "world").value(), 5u);
  ASSERT_TRUE(pair.server->send_trailers(stream, {{"grpc-status", "0"}}));
  pair.exchange();
  const auto responses = only<H2Response>(pair.at_client);
  ASSERT_EQ(responses.size(), 2u);
  EXPECT_EQ(responses[0].head.status, 103);
  EXPECT_EQ(responses[1].head.status, 200);
  EXPECT_EQ(body_of(pair.at_client, stream), "hello world");
  ASSERT_EQ(only<H2Trailers>(pair.at_client).size(), 1u);
  EXPECT_EQ(only<H2End>(pair.at_client).size(), 1u);
  pair.client->consume(stream, 100);
  EXPECT_EQ(pair.client->open_streams(), 0u);
  EXPECT_EQ(pair.server->open_streams(), 0u);
  EXPECT_TRUE(pair.client->finish());
  EXPECT_TRUE(pair.server->finish());
}

TEST(Http2Session, WaitsFor100Continue) {
  Pair pair;
  H2RequestHead upload = request("/", "POST");
  upload.fields = {{"expect", "100-continue"}, {"content-length", "4"}};
  upload.content_length = 4;
  const int32_t stream = pair.client->send_request(upload, false).value();
  pair.exchange();
  EXPECT_TRUE(only<H2Request>(pair.at_server).at(0).head.expects_continue);
  ASSERT_TRUE(pair.server->send_response(stream, response(100), false));
  pair.exchange();
  EXPECT_TRUE(only<H2Response>(pair.at_client).at(0).head.interim());
  EXPECT_EQ(pair.client->send_body(stream, "body", true).value(), 4u);
  pair.exchange();
  EXPECT_EQ(body_of(pair.at_server, stream), "body");
  EXPECT_EQ(only<H2End>(pair.at_server).size(), 1u);
}

TEST(Http2Session, CarriesAWebSocketsBytes) {
  H2Options options = https();
  options.rules.extended_connect = true;
  Pair pair(options);
  ASSERT_TRUE(pair.client->offers_extended_connect());
  H2RequestHead open = request("/chat", "CONNECT");
  open.protocol = "websocket";
  open.fields = {{"sec-websocket-version", "13"}};
  const int32_t stream = pair.client->send_request(open, false).value();
  pair.exchange();
  EXPECT_EQ(only<H2Request>(pair.at_server).at(0).head.protocol, "websocket");
  ASSERT_TRUE(pair.server->send_response(stream, response(200), false));
  ASSERT_TRUE(pair.server->send_body(stream, "down"));
  pair.exchange();
  ASSERT_TRUE(pair.client->send_body(stream, "up", true));
  pair.exchange();
  EXPECT_EQ(body_of(pair.at_server, stream), "up");
  EXPECT_EQ(body_of(pair.at_client, stream), "down");
}

TEST(Http2Session, AsksForNoWebSocketThatWasNotOffered) {
  H2Options options = https();
  options.rules.extended_connect = true;
  Pair pair(https(), options);
  H2RequestHead open = request("/", "CONNECT");
  open.protocol = "websocket";
  EXPECT_EQ(pair.client->send_request(open, false).error().kind(), ErrorKind::unavailable);
}

TEST(Http2Session, SendsNoMoreThanThePeersWindows) {
  H2Options narrow = https();
  narrow.stream_window = 1000;
  Pair pair(https(), narrow);
  const int32_t stream = pair.client->send_request(request("/"), true).value();
  pair.exchange();
  ASSERT_TRUE(pair.server->send_response(stream, response(200), false));
  const std::string body(2500, 'x');
  EXPECT_EQ(pair.server->send_body(stream, body, true).value(), 1000u);
  EXPECT_EQ(pair.server->send_body(stream, body, true).value(), 0u);
  pair.exchange();
  EXPECT_TRUE(only<H2Writable>(pair.at_server).empty());
  EXPECT_EQ(body_of(pair.at_client, stream).size(), 1000u);
  EXPECT_TRUE(only<H2End>(pair.at_client).empty());
  pair.exchange();
  EXPECT_TRUE(only<H2Writable>(pair.at_server).empty()) << "nothing was consumed";
  pair.client->consume(stream, 900);
  pair.exchange();
  ASSERT_EQ(only<H2Writable>(pair.at_server).size(), 1u);
  EXPECT_EQ(pair.server->send_body(stream, std::string_view(body).substr(1000), true).value(), 900u);
  pair.exchange();
  pair.client->consume(stream, 5000);  // more than came does no harm
  pair.exchange();
  EXPECT_EQ(pair.server->send_body(stream, std::string_view(body).substr(1900), true).value(), 600u);
  pair.exchange();
  EXPECT_EQ(body_of(pair.at_client, stream).size(), 2500u);
  EXPECT_EQ(only<H2End>(pair.at_client).size(), 1u);
}

TEST(Http2Session, GivesTheConnectionsWindowBackForStreamsThatEnd) {
  H2Options options = https();
  options.connection_window = 70'000;
  options.stream_window = 65'535;
  Pair pair(https(), options);
  // Each leaves bytes unconsumed: reset by either side, or forgotten after its end.
  for (int i = 0; i < 12; ++i) {
    SCOPED_TRACE(i);
    const int32_t stream = pair.client->send_request(request("/"), true).value();
    pair.exchange();
    ASSERT_TRUE(pair.server->send_response(stream, response(200), false));
    ASSERT_EQ(pair.server->send_body(stream, std::string(60'000, 'x'), i % 3 == 0).value(), 60'000u);
    pair.exchange();
    if (i % 3 == 1) pair.server->reset(stream, H2Code::cancel);
    if (i % 3 != 1) pair.client->reset(stream, H2Code::cancel);
    pair.exchange();
    EXPECT_EQ(pair.client->open_streams(), 0u);
  }
}

TEST(Http2Session, CarriesManyBodiesAtOnce) {
  Pair pair;
  std::map<int32_t, std::string> bodies;
  std::map<int32_t, size_t> sent;
  for (int i = 0; i < 50; ++i) {
    const int32_t stream = pair.client->send_request(request("/" + std::to_string(i)), true).value();
    bodies[stream] = std::string(10'000 * static_cast<size_t>(i), static_cast<char>('a' + i % 26));
  }
  pair.exchange();
  for (auto& [stream, body] : bodies) ASSERT_TRUE(pair.server->send_response(stream, response(200), false));
  std::map<int32_t, std::string> received;
  for (int round = 0; round < 2000 && pair.client->open_streams() > 0; ++round) {
    for (auto& [stream, body] : bodies) {
      if (sent[stream] > body.size()) continue;
      const auto taken = pair.server->send_body(stream, std::string_view(body).substr(sent[stream]), true);
      ASSERT_TRUE(taken) << taken.error().message();
      sent[stream] += *taken;
      if (sent[stream] == body.size()) sent[stream] = body.size() + 1;
    }
    pair.at_client.clear();
    pair.exchange();
    for (const auto& piece : only<H2Body>(pair.at_client)) {
      received[piece.stream] += piece.bytes;
      pair.client->consume(piece.stream, piece.bytes.size());
    }
    pair.exchange();
  }
  for (const auto& [stream, body] : bodies) EXPECT_TRUE(received[stream] == body) << stream;
}

TEST(Http2Session, HoldsWhatItSendsToItsContentLength) {
  Pair pair;
  const int32_t stream = pair.client->send_request(request("/"), true).value();
  pair.exchange();
  H2ResponseHead head = response(200, {{"content-length", "5"}});
  head.content_length = 5;
  ASSERT_TRUE(pair.server->send_response(stream, head, false));
  EXPECT_FALSE(pair.server->send_body(stream, "123456"));
  EXPECT_FALSE(pair.server->send_body(stream, "1234", true));
  EXPECT_TRUE(pair.server->send_body(stream, "123"));
  EXPECT_FALSE(pair.server->end(stream));
  EXPECT_FALSE(pair.server->send_body(stream, "456"));
  EXPECT_TRUE(pair.server->send_body(stream, "45", true));
}

TEST(Http2Session, SaysWhatCantBeSentNow) {
  Pair pair;
  EXPECT_FALSE(pair.server->send_response(1, response(200), true)) << "no such stream";
  EXPECT_FALSE(pair.client->send_body(1, "x"));
  const int32_t stream = pair.client->send_request(request("/"), true).value();
  EXPECT_FALSE(pair.client->send_body(stream, "x")) << "the request has ended";
  pair.exchange();
  EXPECT_FALSE(pair.server->send_body(stream, "x")) << "no head yet";
  EXPECT_FALSE(pair.server->send_response(stream, response(100), true)) << "an interim response can't end";
  EXPECT_FALSE(pair.server->send_response(stream, response(200, {{"X", "y"}}), true));
  ASSERT_TRUE(pair.server->send_response(stream, response(200), false));
  EXPECT_FALSE(pair.server->send_response(stream, response(200), false)) << "a second head";
  EXPECT_FALSE(pair.server->send_trailers(stream, {{":x", "y"}}));
  pair.client->reset(stream, H2Code::cancel);
  pair.exchange();
  ASSERT_EQ(only<H2Reset>(pair.at_server).size(), 1u);
  EXPECT_TRUE(only<H2Reset>(pair.at_server)[0].by_peer);
  EXPECT_EQ(only<H2Reset>(pair.at_server)[0].code, H2Code::cancel);
  EXPECT_TRUE(only<H2Reset>(pair.at_client).empty()) << "who asked for it knows";
  EXPECT_FALSE(pair.server->send_body(stream, "x"));
}

TEST(Http2Session, AnswersBeforeTheRequestIsComplete) {
  Pair pair;
  const int32_t stream = pair.client->send_request(request("/", "POST"), false).value();
  ASSERT_TRUE(pair.client->send_body(stream, "some"));
  pair.exchange();
  ASSERT_TRUE(pair.server->send_response(stream, response(403), true));
  pair.server->reset(stream, H2Code::no_error);
  pair.exchange();
  EXPECT_EQ(only<H2Response>(pair.at_client).at(0).head.status, 403);
  ASSERT_EQ(only<H2Reset>(pair.at_client).size(), 1u) << "it need not send the rest";
  EXPECT_EQ(only<H2Reset>(pair.at_client)[0].code, H2Code::no_error);
  EXPECT_EQ(pair.server->open_streams(), 0u);
}

TEST(Http2Session, GoesAwayGracefully) {
  Pair pair;
  const int32_t stream = pair.client->send_request(request("/"), true).value();
  pair.exchange();
  pair.server->go_away(H2Code::no_error);
  pair.exchange();
  ASSERT_EQ(only<H2GoAway>(pair.at_client).size(), 1u);
  EXPECT_EQ(pair.client->send_request(request("/"), true).error().kind(), ErrorKind::unavailable);
  ASSERT_TRUE(pair.server->send_response(stream, response(200), true));
  pair.exchange();
  EXPECT_EQ(only<H2End>(pair.at_client).size(), 1u) << "what was open goes on";
  EXPECT_FALSE(pair.client->failed());
}

TEST(Http2Session, EndsWithACode) {
  Pair pair;
  pair.server->go_away(H2Code::inadequate_security);
  EXPECT_TRUE(pair.server->failed());
  pair.exchange();
  EXPECT_EQ(only<H2GoAway>(pair.at_client).at(0).code, H2Code::inadequate_security);
}

TEST(Http2Session, NoticesAConnectionThatClosesInTheMidst) {
  auto server = started_server();
  EXPECT_TRUE(server->finish());
  (void)feed(*server, get(1));
  EXPECT_TRUE(server->finish());
  (void)feed(*server, post(3));
  EXPECT_FALSE(server->finish()) << "a message without its end";
  auto other = started_server();
  (void)feed(*other, "\0\0"s);
  EXPECT_FALSE(other->finish()) << "a frame without its end";
}

TEST(Http2Session, AClientOpensNoMoreStreamsThanTheServerAllows) {
  H2Options few = https();
  few.concurrent_streams = 2;
  Pair pair(few, https());
  ASSERT_TRUE(pair.client->send_request(request("/"), true));
  ASSERT_TRUE(pair.client->send_request(request("/"), true));
  EXPECT_FALSE(pair.client->can_open());
  EXPECT_EQ(pair.client->send_request(request("/"), true).error().kind(), ErrorKind::limit);
  pair.exchange();
  ASSERT_TRUE(pair.server->send_response(1, response(200), true));
  pair.exchange();
  EXPECT_TRUE(pair.client->send_request(request("/"), true));
}

// What an intercepted connection costs while nothing happens on it, in bytes.
TEST(Http2Session, HoldsLittleWhileItIsIdle) {
  Pair pair;
  constexpr size_t kIdle = 28 * 1024;
  EXPECT_LE(pair.server->memory(), kIdle);
  EXPECT_LE(pair.client->memory(), kIdle);
  for (int i = 0; i < 100; ++i) {
    const int32_t stream = pair.client->send_request(request("/some/path/" + std::to_string(i)), true).value();
    pair.exchange();
    ASSERT_TRUE(pair.server->send_response(stream, response(200, {{"x-request-id", std::to_string(i)}}), false));
    ASSERT_TRUE(pair.server->send_body(stream, std::string(10'000, 'x'), true));
    pair.exchange();
    pair.client->consume(stream, 10'000);
    pair.exchange();
  }
  RecordProperty("server", static_cast<int>(pair.server->memory()));
  RecordProperty("client", static_cast<int>(pair.client->memory()));
  EXPECT_LE(pair.server->memory(), kIdle + 16 * 1024) << "with full HPACK tables";
  EXPECT_LE(pair.client->memory(), kIdle + 16 * 1024);
}

size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  size_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * 4096;
}

TEST(Http2Session, GivesItsFrameBufferBackWhileItRests) {
  std::vector<std::unique_ptr<Pair>> pairs;
  constexpr size_t kPairs = 500;
  const auto work = [](Pair& pair) {
    const int32_t stream = pair.client->send_request(request("/"), true).value();
    pair.exchange();
    ASSERT_TRUE(pair.server->send_response(stream, response(200), false));
    ASSERT_EQ(pair.server->send_body(stream, std::string(40'000, 'x'), true).value(), 40'000u);
    pair.exchange();
    EXPECT_TRUE(body_of(pair.at_client, stream) == std::string(40'000, 'x'));
    pair.client->consume(stream, 40'000);
    pair.exchange();
    pair.at_client = {};
    pair.at_server = {};
  };
  malloc_trim(0);  // what earlier tests left would be used again unseen
  const size_t before = resident_bytes();
  for (size_t i = 0; i < kPairs; ++i) {
    pairs.push_back(std::make_unique<Pair>());
    work(*pairs.back());
  }
  const size_t busy = resident_bytes() - before;
  for (auto& pair : pairs) {
    pair->server->rest();
    pair->client->rest();
  }
  const size_t idle = resident_bytes() - before;
  RecordProperty("busy", static_cast<int>(busy / kPairs / 2));
  RecordProperty("idle", static_cast<int>(idle / kPairs / 2));
#ifndef __SANITIZE_ADDRESS__
  EXPECT_LT(idle / kPairs / 2, 20u * 1024) << "a session";
  EXPECT_LT(idle, busy);
#endif
  for (auto& pair : pairs) work(*pair);  // and it works on
}

}  // namespace
}  // namespace stockade::net
