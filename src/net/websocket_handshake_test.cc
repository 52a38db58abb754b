#include "net/websocket_handshake.h"

#include <gtest/gtest.h>

#include "net/http2_convert.h"

namespace stockade::net {
namespace {

const std::string kKey = "dGhlIHNhbXBsZSBub25jZQ==";

std::string request(std::string_view drop = {}, std::string_view add = {}) {
  std::string out = "GET /chat HTTP/1.1\r\n";
  for (std::string_view line : {"Host: a.example", "Upgrade: websocket", "Connection: Upgrade",
                                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"})
    if (drop.empty() || !line.starts_with(drop)) out.append(line).append("\r\n");
  return out.append(add).append("\r\n");
}

Result<WebSocketOffer> offer_of(const std::string& text) {
  STOCKADE_ASSIGN(const auto head, parse_request_head(text, RequestPlace::origin));
  return read_websocket_offer(head);
}

TEST(WebSocketHandshake, KnowsTheKeysOfRfc6455) {
  EXPECT_EQ(websocket_accept(kKey), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  const std::string_view nonce = "the sample nonce";
  std::array<uint8_t, 16> random{};
  std::copy(nonce.begin(), nonce.end(), random.begin());
  EXPECT_EQ(websocket_key(random), kKey);
  // Longer than a block of SHA-1, so that padding and the second block count too.
  EXPECT_EQ(websocket_accept(std::string(100, 'a')).size(), 28u);
}

TEST(WebSocketHandshake, JudgesAClientsRequest) {
  struct Case {
    const char* name;
    std::string text;
    bool good;
  };
  const Case cases[] = {
      {"6455 4.1 the usual", request(), true},
      {"6455 4.1 with a subprotocol", request("", "Sec-WebSocket-Protocol: chat, superchat\r\n"), true},
      {"6455 4.1 subprotocols in two fields", request("", "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n"),
       true},
      {"6455 4.1 with an extension",
       request("", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"), true},
      {"6455 4.1 Upgrade in upper case", request("Upgrade", "Upgrade: WebSocket\r\n"), true},
      {"6455 4.1 without Upgrade", request("Upgrade"), false},
      {"6455 4.1 without Connection", request("Connection"), false},
      {"6455 4.1 without a key", request("Sec-WebSocket-Key"), false},
      {"6455 4.1 two keys", request("", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), false},
      {"6455 4.1 a key that is too short", request("Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhlIHNhbXBsZQ==\r\n"),
       false},
      {"6455 4.1 a key that is not base64",
       request("Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ!==\r\n"), false},
      {"6455 4.1 a key with bits behind its end",
       request("Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n"), false},
      {"6455 4.1 without a version", request("Sec-WebSocket-Version"), false},
      {"6455 4.4 version 8", request("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8\r\n"), false},
      {"6455 4.4 two versions", request("", "Sec-WebSocket-Version: 13\r\n"), false},
      {"6455 4.4 versions as a list", request("Sec-WebSocket-Version", "Sec-WebSocket-Version: 13, 8\r\n"), false},
      {"6455 4.1 another protocol", request("Upgrade", "Upgrade: h2c\r\n"), false},
      {"6455 4.1 an empty subprotocol", request("", "Sec-WebSocket-Protocol: \r\n"), false},
      {"6455 4.1 a subprotocol twice", request("", "Sec-WebSocket-Protocol: a, a\r\n"), false},
      {"6455 4.1 a subprotocol that is not a token", request("", "Sec-WebSocket-Protocol: a b\r\n"), false},
      {"6455 9.1 malformed extensions", request("", "Sec-WebSocket-Extensions: ;\r\n"), false},
      {"6455 4.1 an answer's field", request("", "Sec-WebSocket-Accept: x\r\n"), false},
      {"6455 4.1 POST", "POST" + request().substr(3), false},
  };
  for (const Case& one : cases) EXPECT_EQ(offer_of(one.text).has_value(), one.good) << one.name;
  const auto offer = offer_of(request("", "Sec-WebSocket-Protocol: chat , superchat\r\n"));
  EXPECT_EQ(offer->key, kKey);
  EXPECT_EQ(offer->subprotocols, (std::vector<std::string>{"chat", "superchat"}));
}

TEST(WebSocketHandshake, JudgesAServersAnswer) {
  struct Case {
    const char* name;
    std::string fields;
    bool good;
  };
  const std::string usual =
      "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + websocket_accept(kKey) + "\r\n";
  const Case cases[] = {
      {"6455 4.1 the usual", usual, true},
      {"6455 4.1 a subprotocol of the offer", usual + "Sec-WebSocket-Protocol: chat\r\n", true},
      {"6455 4.1 a subprotocol that was not offered", usual + "Sec-WebSocket-Protocol: other\r\n", false},
      {"6455 4.1 two subprotocols", usual + "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: b\r\n", false},
      {"6455 4.1 compression, which was offered", usual + "Sec-WebSocket-Extensions: permessage-deflate\r\n", true},
      {"6455 4.1 an extension that was not", usual + "Sec-WebSocket-Extensions: x\r\n", false},
      {"6455 4.1 compression twice", usual + "Sec-WebSocket-Extensions: permessage-deflate, permessage-deflate\r\n",
       false},
      {"6455 4.1 another Accept",
       "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n", false},
      {"6455 4.1 no Accept", "Upgrade: websocket\r\nConnection: Upgrade\r\n", false},
      {"6455 4.1 two Accepts", usual + "Sec-WebSocket-Accept: x\r\n", false},
      {"6455 4.1 another protocol",
       "Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + websocket_accept(kKey) + "\r\n", false},
  };
  const WebSocketOffer offer{.key = kKey, .subprotocols = {"chat", "b"}, .extensions = {}};
  for (const Case& one : cases) {
    const auto head = parse_response_head("HTTP/1.1 101 Switching Protocols\r\n" + one.fields + "\r\n", "GET");
    ASSERT_TRUE(head) << one.name;
    EXPECT_EQ(read_websocket_answer(*head, offer, WebSocketDeflateParameters{}).has_value(), one.good) << one.name;
  }
  const auto plain =
      parse_response_head("HTTP/1.1 101 X\r\n" + usual + "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", "GET");
  EXPECT_FALSE(read_websocket_answer(*plain, offer, std::nullopt)) << "nothing was offered";
  const auto ordinary = parse_response_head("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "GET");
  EXPECT_FALSE(read_websocket_answer(*ordinary, offer, std::nullopt));
}

// From an agent that speaks either version to a server that speaks either, and the answer back.
TEST(WebSocketHandshake, CrossesVersions) {
  const auto one =
      parse_request_head(
          request(
              "",
              "Origin: https://a.example\r\nCookie: a=b\r\nSec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: "
              "permessage-deflate, x-other\r\n"),
          RequestPlace::origin)
          .value();
  const auto offer = read_websocket_offer(one).value();
  const auto deflate = choose_deflate_offer(offer.extensions);
  ASSERT_TRUE(deflate);
  const auto two = websocket_to_h2(one, "https", offer, deflate);
  ASSERT_TRUE(two) << two.error().message();
  EXPECT_EQ(two->method, "CONNECT");
  EXPECT_EQ(two->path, "/chat");
  EXPECT_EQ(find_field(two->fields, "sec-websocket-extensions")->value, "permessage-deflate") << "only what we speak";
  EXPECT_EQ(find_field(two->fields, "origin")->value, "https://a.example");
  EXPECT_EQ(find_field(two->fields, "sec-websocket-key"), nullptr);
  const auto at_server = read_websocket_offer(*two);
  ASSERT_TRUE(at_server) << at_server.error().message();
  EXPECT_EQ(at_server->subprotocols, offer.subprotocols);

  WebSocketOffer fresh = *at_server;
  fresh.key = websocket_key({1, 2, 3});
  const auto back = websocket_to_h1(*two, fresh, std::nullopt);
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(back->method, "GET");
  EXPECT_EQ(back->upgrade, "websocket");
  EXPECT_EQ(back->host, "a.example");
  EXPECT_EQ(find_field(back->fields, "cookie")->value, "a=b");
  EXPECT_EQ(find_field(back->fields, "sec-websocket-extensions"), nullptr);
  EXPECT_EQ(count_fields(back->fields, "sec-websocket-key"), 1u);

  const WebSocketAgreement agreement{.subprotocol = "chat", .deflate = WebSocketDeflateParameters{}};
  const auto answer =
      websocket_answer_to_h1({.status = 200, .fields = {{"server", "x"}}, .content_length = {}}, agreement, offer.key);
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_TRUE(read_websocket_answer(*answer, offer, deflate));
  const auto answer_two = websocket_answer_to_h2(*answer, agreement);
  ASSERT_TRUE(answer_two) << answer_two.error().message();
  EXPECT_EQ(answer_two->status, 200);
  EXPECT_TRUE(read_websocket_answer(*answer_two, *at_server, deflate));
  EXPECT_FALSE(to_h2(*answer)) << "101 is not for HTTP/2";
}

TEST(WebSocketHandshake, JudgesRequestsOverHttp2) {
  const H2RequestHead good{.method = "CONNECT",
                           .scheme = "https",
                           .authority = "a",
                           .path = "/",
                           .protocol = "websocket",
                           .fields = {{"sec-websocket-version", "13"}},
                           .content_length = {}};
  EXPECT_TRUE(read_websocket_offer(good));
  H2RequestHead keyed = good;
  keyed.fields.push_back({"sec-websocket-key", kKey});
  EXPECT_FALSE(read_websocket_offer(keyed));
  H2RequestHead old = good;
  old.fields = {{"sec-websocket-version", "8"}};
  EXPECT_FALSE(read_websocket_offer(old));
  H2RequestHead other = good;
  other.protocol = "";
  EXPECT_FALSE(read_websocket_offer(other));
}

}  // namespace
}  // namespace stockade::net
