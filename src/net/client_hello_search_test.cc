#include "net/client_hello_search.h"

#include <gtest/gtest.h>

namespace stockade::net {
namespace {

using namespace std::string_literals;

const std::string kHello = "\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03"s + std::string(20, 'r');

bool found(const std::string& bytes, size_t piece) {
  ClientHelloSearch start;
  for (size_t at = 0; at < bytes.size(); at += piece)
    if (start.feed(std::string_view(bytes).substr(at, piece))) return true;
  return false;
}

TEST(ClientHelloSearch, FindsAClientHelloAnywhereHoweverTheBytesAreCut) {
  for (const std::string& before : {""s, "AUTH TLS\r\n"s, "\x16\x03"s, "\x16\x16\x03\x03\x00"s})
    for (const size_t piece : {1, 2, 3, 5, 11, 100}) EXPECT_TRUE(found(before + kHello, piece)) << piece;
}

TEST(ClientHelloSearch, FindsOneThatIsSplitIntoRecordsOfAByte) {
  EXPECT_TRUE(found("x\x16\x03\x01\x00\x01\x01\x16\x03\x01\x00\x01\x00"s, 3));
}

TEST(ClientHelloSearch, TakesNothingElseForOne) {
  for (const std::string& bytes :
       {"\x16\x03\x01\x00\xc8\x02\x00\x00\xc4\x03\x03"s, "\x16\x03\x01\x00\xc8\x01\x01\x00\xc4\x03\x03"s,
        "\x16\x03\x09\x00\xc8\x01\x00\x00\xc4\x03\x03"s, "\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x02\x03"s,
        "\x17\x03\x03\x00\xc8\x01\x00\x00\xc4\x03\x03"s, kHello.substr(0, 10), std::string(1000, '\x16')})
    for (const size_t piece : {1, 4, 1000}) EXPECT_FALSE(found(bytes, piece));
}

}  // namespace
}  // namespace stockade::net
