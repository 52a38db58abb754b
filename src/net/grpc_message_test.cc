#include "net/grpc_message.h"

#include <gtest/gtest.h>

namespace stockade::net {

namespace {

TEST(GrpcMessage, ComesWholeHoweverTheBytesAreCut) {
  std::string bytes;
  write_grpc_message(bytes, {false, "first"});
  write_grpc_message(bytes, {true, ""});
  write_grpc_message(bytes, {false, std::string(100'000, 'x')});
  for (const size_t piece : {size_t{1}, size_t{3}, bytes.size()}) {
    GrpcReader reader;
    std::vector<GrpcMessage> messages;
    for (size_t at = 0; at < bytes.size();) {
      const auto taken = reader.feed(std::string_view(bytes).substr(at, piece));
      ASSERT_TRUE(taken);
      at += *taken;
      if (reader.has_message()) messages.push_back(reader.take_message());
    }
    ASSERT_EQ(messages.size(), 3U);
    EXPECT_EQ(messages[0].payload, "first");
    EXPECT_TRUE(messages[1].compressed);
    EXPECT_EQ(messages[2].payload.size(), 100'000U);
    EXPECT_TRUE(reader.finish());
  }
}

TEST(GrpcMessage, RefusesBadFlagsTooMuchAndACut) {
  GrpcReader flags;
  EXPECT_FALSE(flags.feed(std::string("\x02\0\0\0\1x", 6)));
  GrpcReader large(10);
  EXPECT_FALSE(large.feed(std::string("\0\0\0\0\x0b", 5)));
  GrpcReader cut;
  EXPECT_TRUE(cut.feed(std::string("\0\0\0\0\5ab", 7)));
  EXPECT_FALSE(cut.finish());
}

TEST(GrpcMessage, KnowsItsContentTypesAndSaysWhyItRefuses) {
  for (const char* yes : {"application/grpc", "application/grpc+proto", "application/grpc; charset=utf-8"})
    EXPECT_TRUE(is_grpc_content_type(yes)) << yes;
  for (const char* no : {"application/grpcx", "application/json", "application/grpc-web", ""})
    EXPECT_FALSE(is_grpc_content_type(no)) << no;
  const auto fields = grpc_status_fields(GrpcStatus::permission_denied, "no\r\n100 %");
  EXPECT_EQ(find_field(fields, "grpc-status")->value, "7");
  EXPECT_EQ(find_field(fields, "grpc-message")->value.find('\n'), std::string::npos);
}

}  // namespace

}  // namespace stockade::net
