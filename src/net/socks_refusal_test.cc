#include <gtest/gtest.h>

#include "net/first_bytes.h"
#include "net/refusal.h"
#include "net/socks5.h"

namespace stockade::net {
namespace {

using namespace std::string_literals;

TEST(Socks5, ReadsAGreetingAndARequestHoweverTheyAreCut) {
  const std::string greeting = "\x05\x02\x00\x02"s;
  for (size_t i = 0; i < greeting.size(); ++i)
    EXPECT_EQ(parse_socks_greeting(greeting.substr(0, i)).state, SocksState::need_more);
  const auto read = parse_socks_greeting(greeting + "more");
  EXPECT_EQ(read.state, SocksState::done);
  EXPECT_EQ(read.consumed, 4u);
  EXPECT_TRUE(read.accepts_no_authentication);
  EXPECT_FALSE(parse_socks_greeting("\x05\x01\x02"s).accepts_no_authentication);

  const std::string request =
      "\x05\x01\x00\x03\x0b"
      "example.com\x01\xbb"s;
  for (size_t i = 0; i < request.size(); ++i)
    EXPECT_EQ(parse_socks_request(request.substr(0, i)).state, SocksState::need_more) << i;
  const auto asked = parse_socks_request(request + "x");
  EXPECT_EQ(asked.state, SocksState::done);
  EXPECT_EQ(asked.name, "example.com");
  EXPECT_EQ(asked.port, 443);
  EXPECT_EQ(asked.consumed, request.size());
}

TEST(Socks5, ReadsAddresses) {
  const auto four = parse_socks_request("\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50"s);
  EXPECT_EQ(four.address->to_string(), "127.0.0.1");
  EXPECT_EQ(four.port, 80);
  const auto six = parse_socks_request("\x05\x01\x00\x04"s + std::string(15, '\0') + "\x01\x00\x50"s);
  EXPECT_EQ(six.address->to_string(), "::1");
}

TEST(Socks5, RefusesEverythingElseWithItsReply) {
  EXPECT_EQ(parse_socks_greeting("\x04\x01"s).state, SocksState::malformed);
  EXPECT_EQ(parse_socks_greeting("GET / ").state, SocksState::malformed);
  EXPECT_EQ(parse_socks_greeting("\x05\x00"s).state, SocksState::malformed);
  const std::pair<std::string, SocksReply> cases[] = {
      {"\x05\x02\x00\x01"s, SocksReply::command_not_supported},
      {"\x05\x03\x00\x01"s, SocksReply::command_not_supported},
      {"\x05\x01\x01\x01"s, SocksReply::general_failure},
      {"\x04\x01\x00\x01"s, SocksReply::general_failure},
      {"\x05\x01\x00\x02\x00\x00"s, SocksReply::address_type_not_supported},
      {"\x05\x01\x00\x03\x00\x00\x50"s, SocksReply::general_failure},
      {"\x05\x01\x00\x03\x03"
       "a\0b\x00\x50"s,
       SocksReply::general_failure},
      {"\x05\x01\x00\x03\x01"
       "a\x00\x00"s,
       SocksReply::general_failure},
  };
  for (const auto& [bytes, reply] : cases) {
    const auto request = parse_socks_request(bytes);
    EXPECT_EQ(request.state, SocksState::malformed);
    EXPECT_EQ(request.refusal, reply);
  }
  EXPECT_EQ(socks_reply(SocksReply::not_allowed), "\x05\x02\x00\x01\0\0\0\0\0\0"s);
  EXPECT_EQ(socks_method_reply(true), "\x05\x00"s);
  EXPECT_EQ(socks_method_reply(false), "\x05\xff"s);
}

TEST(FirstBytes, TellProtocolsApart) {
  const std::pair<std::string, FirstBytes> cases[] = {
      {"", FirstBytes::need_more},
      {"\x16"s, FirstBytes::need_more},
      {"\x16\x03"s, FirstBytes::tls},
      {"\x16\x02"s, FirstBytes::other},
      {"\x80\x2e\x01"s, FirstBytes::other},
      {"G", FirstBytes::need_more},
      {"GET ", FirstBytes::need_more},
      {"GET /", FirstBytes::http1},
      {"P", FirstBytes::need_more},
      {"POST http://x", FirstBytes::http1},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", FirstBytes::need_more},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", FirstBytes::http2},
      {"PRI * HTTP/1.1", FirstBytes::http1},
      {"SSH-2.0-OpenSSH", FirstBytes::other},
      {"get /", FirstBytes::other},
      {" GET /", FirstBytes::other},
      {"GET  /", FirstBytes::other},
      {"\0\0\0\x08"s, FirstBytes::other},
      {"ABCDEFGHIJKLMNOPQ", FirstBytes::other},
  };
  for (const auto& [bytes, expected] : cases) EXPECT_EQ(classify_first_bytes(bytes), expected) << bytes;
}

TEST(HttpRefusal, CannotBeBrokenOutOf) {
  Refusal refusal;
  refusal.message = "no \"quotes\"\r\nInjected: yes";
  refusal.reason = "path /x\\y with \xff and \xf0\x9f\x98\x80 and \xc3\xa9 and \x7f";
  refusal.rule = "network.deny[0]\r\nSet-Cookie: a; b";
  refusal.event = "42";
  refusal.hint = "</script>";
  const auto text = http_refusal(refusal);
  const auto head = text.substr(0, text.find("\r\n\r\n"));
  EXPECT_TRUE(head.starts_with("HTTP/1.1 403 Forbidden\r\n"));
  EXPECT_NE(head.find("\r\nstockade-decision: deny; rule=network.deny[0]%0D%0ASet-Cookie:%20a%3B%20b; event=42"),
            std::string::npos)
      << head;
  EXPECT_EQ(head.find("\r\nSet-Cookie"), std::string::npos);
  const auto body = text.substr(text.find("\r\n\r\n") + 4);
  EXPECT_NE(head.find("content-length: " + std::to_string(body.size())), std::string::npos);
  EXPECT_EQ(
      body,
      "{\"error\": {\"type\": \"stockade_blocked\", \"message\": \"no \\\"quotes\\\"\\u000d\\u000aInjected: yes\", "
      "\"reason\": \"path /x\\\\y with \\ufffd and \\ud83d\\ude00 and \\u00e9 and \\u007f\", "
      "\"rule\": \"network.deny[0]\\u000d\\u000aSet-Cookie: a; b\", \"event\": \"42\", \"hint\": \"</script>\"}}\n");
}

TEST(HttpRefusal, LeavesTheBodyOutForHead) {
  const auto text = http_refusal({.status = RefusalStatus::loop_detected, .message = "x"}, false);
  EXPECT_TRUE(text.starts_with("HTTP/1.1 508 Loop Detected\r\n"));
  EXPECT_TRUE(text.ends_with("\r\n\r\n"));
  EXPECT_EQ(text.find("content-length: 0"), std::string::npos);
}

}  // namespace
}  // namespace stockade::net
