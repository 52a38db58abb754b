#include "net/grpc_message.h"

#include <gtest/gtest.h>

namespace stockade::net {
namespace {

using namespace std::string_literals;

std::vector<GrpcMessage> read(std::string_view bytes, size_t piece, bool* sound = nullptr,
                              size_t limit = kGrpcMessageLimit) {
  GrpcReader reader(limit);
  std::vector<GrpcMessage> messages;
  while (!bytes.empty()) {
    const auto taken = reader.feed(bytes.substr(0, piece));
    if (!taken) {
      if (sound) *sound = false;
      return messages;
    }
    bytes.remove_prefix(*taken);
    if (reader.has_message()) messages.push_back(reader.take_message());
  }
  if (sound) *sound = reader.finish().has_value();
  return messages;
}

TEST(GrpcMessages, ReadBackAsTheyWereWritten) {
  std::string bytes;
  const std::vector<GrpcMessage> messages = {
      {false, "one"}, {true, ""}, {false, std::string(70'000, 'x')}, {true, "two"}, {false, ""}};
  for (const auto& message : messages) write_grpc_message(bytes, message);
  EXPECT_EQ(bytes.substr(0, 8), "\0\0\0\0\3one"s);
  for (size_t piece : {size_t{1}, size_t{4}, size_t{1000}, SIZE_MAX}) {
    bool sound = false;
    const auto back = read(bytes, piece, &sound);
    EXPECT_TRUE(sound);
    ASSERT_EQ(back.size(), messages.size());
    for (size_t i = 0; i < back.size(); ++i) {
      EXPECT_EQ(back[i].compressed, messages[i].compressed);
      EXPECT_TRUE(back[i].payload == messages[i].payload);
    }
  }
}

TEST(GrpcMessages, RefusesWhatIsNone) {
  bool sound = true;
  read("\2\0\0\0\0"s, 1, &sound);
  EXPECT_FALSE(sound) << "a flag of 2";
  read("\0\0\0\0"s, 1, &sound);
  EXPECT_FALSE(sound) << "half a prefix";
  read("\0\0\0\0\2x"s, 1, &sound);
  EXPECT_FALSE(sound) << "half a message";
  read("\0\0\0\0\x0b"s + std::string(11, 'x'), 1, &sound, 10);
  EXPECT_FALSE(sound) << "11 bytes where 10 are allowed";
  read("\0\0\0\0\x0a"s + std::string(10, 'x'), 1, &sound, 10);
  EXPECT_TRUE(sound);
  GrpcReader reader(10);
  EXPECT_EQ(reader.feed("\0\xff\xff\xff\xff"s).error().kind(), ErrorKind::limit) << "by the prefix alone";
  EXPECT_LE(reader.held(), 64u);
  EXPECT_FALSE(reader.feed("x"));
}

TEST(GrpcMessages, KnowsItsContentType) {
  for (const char* type : {"application/grpc", "application/grpc+proto", "Application/gRPC;charset=utf-8"})
    EXPECT_TRUE(is_grpc_content_type(type)) << type;
  for (const char* type : {"application/grpc-web", "application/json", "application/grp", ""})
    EXPECT_FALSE(is_grpc_content_type(type)) << type;
}

TEST(GrpcMessages, WritesARefusal) {
  const auto fields = grpc_refusal_fields(" 100% \"no\"\r\nx: y \xc3\xa4 ", "deny; rule=network.allow[2]");
  ASSERT_EQ(fields.size(), 3u);
  EXPECT_EQ(fields[0].name + "=" + fields[0].value, "grpc-status=7");
  EXPECT_EQ(fields[1].value, "%20100%25 \"no\"%0D%0Ax: y %C3%A4%20");
  EXPECT_EQ(fields[2].value, "deny; rule=network.allow[2]");
  for (const auto& field : fields) EXPECT_TRUE(parse_field_line(field.name + ": " + field.value));
}

}  // namespace
}  // namespace stockade::net
