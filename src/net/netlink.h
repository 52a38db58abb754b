// Netlink without a library: a builder that appends messages and nested attributes to one buffer, and a socket that
// sends a buffer and reads acknowledgements. Single-threaded; a socket talks about the network namespace in which it
// was opened, for life. What the kernel answers is trusted, but never read past its length.
// Facts: Linux Documentation/userspace-api/netlink/intro.rst, netlink(7).
#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"

namespace stockade::net {

// One or more messages. Attributes nest; end() closes the innermost nest, finish() the message.
class NetlinkBatch {
 public:
  void begin(uint16_t type, uint16_t flags);
  void finish();

  template <typename T>
  void header(const T& value) {
    raw(&value, sizeof(value));
  }
  void attribute(uint16_t type, std::string_view bytes);
  void attribute_text(uint16_t type, const char* text);  // with its terminating zero
  void attribute_u32(uint16_t type, uint32_t host_order);
  void attribute_be32(uint16_t type, uint32_t host_order);
  void nest(uint16_t type);
  void end();

  const std::string& bytes() const { return bytes_; }

 private:
  void raw(const void* data, size_t size);
  void pad();

  std::string bytes_;
  size_t message_ = 0;
  size_t nests_[8] = {};
  size_t depth_ = 0;
};

class NetlinkSocket {
 public:
  static Result<NetlinkSocket> open(int protocol);

  // Sends the batch and waits for one acknowledgement (or the first error) for each of `acknowledgements` messages.
  Result<void> request(const NetlinkBatch& batch, int acknowledgements);

  explicit NetlinkSocket(Fd fd) : fd_(std::move(fd)) {}
  int fd() const { return fd_.get(); }
  Fd release() { return std::move(fd_); }

 private:
  Fd fd_;
};

// The attributes that follow a header of `header_size` bytes in a payload.
void visit_attributes(std::string_view payload, size_t header_size,
                      const std::function<void(uint16_t type, std::string_view value)>& visit);

// Sends one dump or lookup request on `fd` and hands each answer's payload to `visit` until the kernel is done.
// An error number of the kernel becomes an Error with that number.
Result<void> netlink_query(int fd, const NetlinkBatch& request,
                           const std::function<void(uint16_t type, std::string_view payload)>& visit);

}  // namespace stockade::net
