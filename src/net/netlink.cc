#include "net/netlink.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <cstring>

namespace stockade::net {

void NetlinkBatch::raw(const void* data, size_t size) {
  bytes_.append(static_cast<const char*>(data), size);
  pad();
}

void NetlinkBatch::pad() { bytes_.resize(NLMSG_ALIGN(bytes_.size())); }

void NetlinkBatch::begin(uint16_t type, uint16_t flags) {
  message_ = bytes_.size();
  nlmsghdr header{};
  header.nlmsg_type = type;
  header.nlmsg_flags = flags;
  header.nlmsg_seq = 1;
  raw(&header, sizeof(header));
}

void NetlinkBatch::finish() {
  const auto length = static_cast<uint32_t>(bytes_.size() - message_);
  std::memcpy(bytes_.data() + message_ + offsetof(nlmsghdr, nlmsg_len), &length, sizeof(length));
}

void NetlinkBatch::attribute(uint16_t type, std::string_view bytes) {
  const nlattr header{static_cast<uint16_t>(NLA_HDRLEN + bytes.size()), type};
  bytes_.append(reinterpret_cast<const char*>(&header), sizeof(header));
  raw(bytes.data(), bytes.size());
}

void NetlinkBatch::attribute_text(uint16_t type, const char* text) {
  attribute(type, std::string_view(text, std::strlen(text) + 1));
}

void NetlinkBatch::attribute_u32(uint16_t type, uint32_t host_order) {
  attribute(type, std::string_view(reinterpret_cast<const char*>(&host_order), sizeof(host_order)));
}

void NetlinkBatch::attribute_be32(uint16_t type, uint32_t host_order) { attribute_u32(type, htonl(host_order)); }

void NetlinkBatch::nest(uint16_t type) {
  nests_[depth_++] = bytes_.size();
  const nlattr header{0, static_cast<uint16_t>(type | NLA_F_NESTED)};
  raw(&header, sizeof(header));
}

void NetlinkBatch::end() {
  const size_t start = nests_[--depth_];
  const auto length = static_cast<uint16_t>(bytes_.size() - start);
  std::memcpy(bytes_.data() + start + offsetof(nlattr, nla_len), &length, sizeof(length));
}

Result<NetlinkSocket> NetlinkSocket::open(int protocol) {
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!fd) return fail_errno("open a netlink socket (protocol {})", protocol);
  return NetlinkSocket(std::move(fd));
}

Result<void> NetlinkSocket::request(const NetlinkBatch& batch, int acknowledgements) {
  const std::string& bytes = batch.bytes();
  if (::send(fd_.get(), bytes.data(), bytes.size(), 0) < 0) return fail_errno("send a netlink request");
  while (acknowledgements > 0) {
    alignas(nlmsghdr) char buffer[4096];
    const ssize_t count = ::recv(fd_.get(), buffer, sizeof(buffer), 0);
    if (count < 0) {
      if (errno == EINTR) continue;
      return fail_errno("read a netlink answer");
    }
    int left = static_cast<int>(count);
    for (auto* message = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(message, static_cast<unsigned>(left));
         message = NLMSG_NEXT(message, left)) {
      if (message->nlmsg_type != NLMSG_ERROR) continue;
      const auto* error = static_cast<nlmsgerr*>(NLMSG_DATA(message));
      if (error->error != 0)
        return std::unexpected(Error::from_errno("the kernel refused a netlink request", -error->error));
      --acknowledgements;
    }
  }
  return {};
}

void visit_attributes(std::string_view payload, size_t header_size,
                      const std::function<void(uint16_t type, std::string_view value)>& visit) {
  size_t at = NLMSG_ALIGN(header_size);
  while (at + sizeof(nlattr) <= payload.size()) {
    nlattr attribute;
    std::memcpy(&attribute, payload.data() + at, sizeof(attribute));
    if (attribute.nla_len < NLA_HDRLEN || at + attribute.nla_len > payload.size()) return;
    visit(attribute.nla_type & NLA_TYPE_MASK, payload.substr(at + NLA_HDRLEN, attribute.nla_len - NLA_HDRLEN));
    at += NLA_ALIGN(attribute.nla_len);
  }
}

Result<void> netlink_query(int fd, const NetlinkBatch& request,
                           const std::function<void(uint16_t type, std::string_view payload)>& visit) {
  const std::string& bytes = request.bytes();
  if (::send(fd, bytes.data(), bytes.size(), 0) < 0) return fail_errno("send a netlink query");
  const bool dump = (reinterpret_cast<const nlmsghdr*>(bytes.data())->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
  while (true) {
    alignas(nlmsghdr) char buffer[32 * 1024];
    const ssize_t count = ::recv(fd, buffer, sizeof(buffer), 0);
    if (count < 0) {
      if (errno == EINTR) continue;
      return fail_errno("read a netlink answer");
    }
    int left = static_cast<int>(count);
    for (auto* message = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(message, static_cast<unsigned>(left));
         message = NLMSG_NEXT(message, left)) {
      if (message->nlmsg_type == NLMSG_DONE) return {};
      if (message->nlmsg_type == NLMSG_ERROR) {
        const auto* error = static_cast<nlmsgerr*>(NLMSG_DATA(message));
        if (error->error == 0) return {};
        return std::unexpected(Error::from_errno("the kernel refused a netlink query", -error->error));
      }
      visit(message->nlmsg_type,
            std::string_view(static_cast<const char*>(NLMSG_DATA(message)), NLMSG_PAYLOAD(message, 0)));
      if (!dump) return {};
    }
  }
}

}  // namespace stockade::net
