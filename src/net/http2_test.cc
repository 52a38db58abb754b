#include <gtest/gtest.h>

#include "net/http2_client.h"
#include "net/http2_server.h"

namespace stockade::net {
namespace {

H2Options https() {
  H2Options options;
  options.rules.scheme = "https";
  return options;
}

H2RequestHead get(std::string_view path) {
  return {.method = "GET", .scheme = "https", .authority = "a.example", .path = std::string(path)};
}

template <typename T>
std::vector<T> only(const std::vector<H2Event>& events) {
  std::vector<T> found;
  for (const H2Event& event : events)
    if (const T* one = std::get_if<T>(&event)) found.push_back(*one);
  return found;
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
      if (up.empty() && down.empty()) return;
      (void)server->feed(up);
      (void)client->feed(down);
      for (auto& event : server->take_events()) at_server.push_back(std::move(event));
      for (auto& event : client->take_events()) at_client.push_back(std::move(event));
    }
    FAIL() << "endless exchange";
  }
};

TEST(Http2Session, CarriesARequestAndItsResponse) {
  Pair pair;
  const int32_t stream = pair.client->send_request(get("/x?y=1"), true).value();
  pair.exchange();
  ASSERT_EQ(pair.at_server.size(), 2u);
  const auto& request = std::get<H2Request>(pair.at_server[0]);
  EXPECT_EQ(request.head.path, "/x?y=1");
  EXPECT_TRUE(request.ends);
  EXPECT_TRUE(std::holds_alternative<H2End>(pair.at_server[1]));
  ASSERT_TRUE(pair.server->send_response(stream, {.status = 103, .fields = {{"link", "</a>"}}}, false));
  ASSERT_TRUE(pair.server->send_response(stream, {.status = 200, .fields = {{"content-type", "text/plain"}}}, false));
  EXPECT_EQ(pair.server->send_body(stream, "hello ").value(), 6u);
  EXPECT_EQ(pair.server->send_body(stream, "world").value(), 5u);
  ASSERT_TRUE(pair.server->send_trailers(stream, {{"grpc-status", "0"}}));
  pair.exchange();
  const auto responses = only<H2Response>(pair.at_client);
  ASSERT_EQ(responses.size(), 2u);
  EXPECT_EQ(responses[0].head.status, 103);
  EXPECT_EQ(responses[1].head.status, 200);
  std::string body;
  for (const auto& piece : only<H2Body>(pair.at_client)) body += piece.bytes;
  EXPECT_EQ(body, "hello world");
  ASSERT_EQ(only<H2Trailers>(pair.at_client).size(), 1u);
  EXPECT_EQ(only<H2End>(pair.at_client).size(), 1u);
  EXPECT_EQ(pair.client->open_streams(), 0u);
  EXPECT_EQ(pair.server->open_streams(), 0u);
}

TEST(Http2Session, TellsWhatAnIdleSessionHolds) {
  Pair pair;
  printf("idle: server %zu client %zu\n", pair.server->memory(), pair.client->memory());
  pair.client->send_request(get("/x"), true).value();
  pair.exchange();
  pair.server->send_response(1, {.status = 200}, true).value();
  pair.exchange();
  printf("after one: server %zu client %zu\n", pair.server->memory(), pair.client->memory());
}

}  // namespace
}  // namespace stockade::net
