// gRPC over HTTP/2 (the gRPC project's PROTOCOL-HTTP2.md): a body is a row of messages, each behind a flag (compressed
// or not) and a length of four bytes. Read in pieces, bounded; and what a refusal looks like. What a message means
// (protobuf) and how it is compressed (grpc-encoding; content_coding.h) is the caller's. Pure, any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "net/http_field.h"

namespace stockade::net {

inline constexpr size_t kGrpcPrefix = 5;
inline constexpr size_t kGrpcMessageLimit = 16 * 1024 * 1024;

struct GrpcMessage {
  bool compressed = false;
  std::string payload;
};

class GrpcReader {
 public:
  explicit GrpcReader(size_t limit = kGrpcMessageLimit) : limit_(limit) {}
  // Takes bytes up to the end of a message, or of all, and returns how many.
  Result<size_t> feed(std::string_view bytes);
  bool has_message() const { return complete_; }
  GrpcMessage take_message();
  // The body ended: an Error in the midst of a message.
  Result<void> finish() const;
  size_t held() const { return message_.payload.capacity(); }

 private:
  size_t limit_;
  std::array<uint8_t, kGrpcPrefix> prefix_{};
  size_t prefix_size_ = 0;
  size_t left_ = 0;
  bool complete_ = false;
  bool failed_ = false;
  GrpcMessage message_;
};

void write_grpc_message(std::string& out, const GrpcMessage& message);

// application/grpc, with a suffix (+proto, +json) or parameters.
bool is_grpc_content_type(std::string_view content_type);

// The codes that a proxy answers with (gRPC's statuscodes.md).
enum class GrpcStatus : int {
  cancelled = 1,
  deadline_exceeded = 4,
  permission_denied = 7,
  resource_exhausted = 8,
  internal = 13,
  unavailable = 14,
  unauthenticated = 16,
};

// grpc-status and grpc-message, percent-encoded: for trailers, or for a head that ends its stream ("Trailers-Only",
// with status 200 and content-type application/grpc).
std::vector<HttpField> grpc_status_fields(GrpcStatus status, std::string_view message);
std::vector<HttpField> grpc_refusal_fields(std::string_view message, std::string_view decision);

}  // namespace stockade::net
