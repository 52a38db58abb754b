#include "net/grpc_message.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace stockade::net {

namespace {

constexpr std::string_view kContentType = "application/grpc";
constexpr size_t kStatusMessageLimit = 1024;

// Printable ASCII but "%" stays (PROTOCOL-HTTP2.md, "Responses"); the rest, byte by byte, is %XX.
std::string percent_encoded(std::string_view text) {
  std::string out;
  for (char c : text.substr(0, kStatusMessageLimit)) {
    // A space at an end would be cut off as white space around the value.
    const bool inner_space = c == ' ' && !out.empty();
    if (inner_space || (c > ' ' && c <= '~' && c != '%')) {
      out.push_back(c);
    } else {
      fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<uint8_t>(c));
    }
  }
  if (out.ends_with(' ')) out.replace(out.size() - 1, 1, "%20");
  return out;
}

}  // namespace

Result<size_t> GrpcReader::feed(std::string_view bytes) {
  if (failed_) return fail(ErrorKind::protocol, "gRPC: more bytes after a fault");
  size_t taken = 0;
  if (complete_) return taken;
  if (prefix_size_ < kGrpcPrefix) {
    while (prefix_size_ < kGrpcPrefix && taken < bytes.size()) {
      prefix_[prefix_size_++] = static_cast<uint8_t>(bytes[taken++]);
      if (prefix_size_ == 1 && prefix_[0] > 1) {
        failed_ = true;
        return fail(ErrorKind::protocol, "gRPC: a message whose flag is neither 0 nor 1");
      }
    }
    if (prefix_size_ < kGrpcPrefix) return taken;
    message_ = {.compressed = prefix_[0] == 1};
    left_ = static_cast<size_t>(prefix_[1]) << 24 | static_cast<size_t>(prefix_[2]) << 16 |
            static_cast<size_t>(prefix_[3]) << 8 | prefix_[4];
    if (left_ > limit_) {
      failed_ = true;
      return fail(ErrorKind::limit, "gRPC: a message of {} bytes", left_);
    }
  }
  const auto piece = bytes.substr(taken, left_);
  message_.payload.append(piece);
  left_ -= piece.size();
  taken += piece.size();
  if (left_ == 0) {
    complete_ = true;
    prefix_size_ = 0;
  }
  return taken;
}

GrpcMessage GrpcReader::take_message() {
  complete_ = false;
  return std::exchange(message_, {});
}

Result<void> GrpcReader::finish() const {
  if (prefix_size_ > 0) return fail(ErrorKind::protocol, "gRPC: the body ended in the midst of a message");
  return {};
}

void write_grpc_message(std::string& out, const GrpcMessage& message) {
  out.push_back(message.compressed ? '\1' : '\0');
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(message.payload.size() >> shift & 0xff));
  out += message.payload;
}

bool is_grpc_content_type(std::string_view content_type) {
  const auto type = content_type.substr(0, kContentType.size());
  if (!equals_ignoring_case(type, kContentType)) return false;
  const auto rest = content_type.substr(kContentType.size());
  return rest.empty() || rest[0] == '+' || rest[0] == ';' || rest[0] == ' ';
}

std::vector<HttpField> grpc_status_fields(GrpcStatus status, std::string_view message) {
  return {{"grpc-status", std::to_string(static_cast<int>(status))}, {"grpc-message", percent_encoded(message)}};
}

std::vector<HttpField> grpc_refusal_fields(std::string_view message, std::string_view decision) {
  auto fields = grpc_status_fields(GrpcStatus::permission_denied, message);
  fields.push_back({"stockade-decision", percent_encoded(decision)});
  return fields;
}

}  // namespace stockade::net
