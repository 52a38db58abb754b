#include "egress/datagrams.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <vector>

#include "egress/refusals.h"

namespace stockade::egress {

namespace {

constexpr size_t kBatch = 32;

struct Datagram {
  Endpoint from;
  Endpoint to;
};

bool receive_datagram(int socket, Datagram& out) {
  char byte;
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[256];
  sockaddr_storage from{};
  msghdr header{};
  header.msg_name = &from;
  header.msg_namelen = sizeof(from);
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  if (::recvmsg(socket, &header, 0) < 0) return false;
  out = Datagram{};
  if (const auto sender = Endpoint::from_sockaddr(from)) out.from = *sender;
  for (cmsghdr* item = CMSG_FIRSTHDR(&header); item; item = CMSG_NXTHDR(&header, item)) {
    const bool v4 = item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_ORIGDSTADDR;
    const bool v6 = item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_ORIGDSTADDR;
    if (!v4 && !v6) continue;
    sockaddr_storage to{};
    std::memcpy(&to, CMSG_DATA(item), v4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    if (const auto destination = Endpoint::from_sockaddr(to)) out.to = *destination;
  }
  return true;
}

void put16(std::string& out, unsigned value) {
  out.push_back(static_cast<char>(value >> 8));
  out.push_back(static_cast<char>(value));
}

void put_address(std::string& out, const IpAddress& address) {
  out.append(reinterpret_cast<const char*>(address.bytes().data()), address.is_v4() ? 4 : 16);
}

uint16_t internet_checksum(std::string_view bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2)
    sum += static_cast<uint32_t>(static_cast<unsigned char>(bytes[i])) << 8 | static_cast<unsigned char>(bytes[i + 1]);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

Notice datagram_notice(Inspector& inspector, const Datagram& datagram) {
  Destination to;
  to.address = datagram.to.address;
  to.port = datagram.to.port;
  if (const auto name = inspector.names().name_of(to.address)) to.host = *name;
  Notice notice = make_notice(to, "only TCP and DNS leave a sandbox, and this is UDP");
  notice.kind = NoticeKind::datagram;
  return notice;
}

}  // namespace

std::string port_unreachable(const Endpoint& from, const Endpoint& to) {
  std::string udp;
  put16(udp, from.port);
  put16(udp, to.port);
  put16(udp, 8);
  put16(udp, 0);
  std::string out;
  if (from.address.is_v4()) {
    out.assign("\x03\x03\0\0\0\0\0\0", 8);  // destination unreachable, port
    std::string header("\x45\0", 2);
    put16(header, 28);
    header.append(std::string("\0\0\0\0\x40\x11\0\0", 8));  // TTL 64, UDP
    put_address(header, from.address);
    put_address(header, to.address);
    out += header + udp;
    const uint16_t sum = internet_checksum(out);
    out[2] = static_cast<char>(sum >> 8);
    out[3] = static_cast<char>(sum);
    return out;
  }
  out.assign("\x01\x04\0\0\0\0\0\0", 8);
  std::string header("\x60\0\0\0", 4);
  put16(header, 8);
  header += "\x11\x40";  // UDP, hop limit 64
  put_address(header, from.address);
  put_address(header, to.address);
  return out + header + udp;
}

loop::Task<void> refuse_datagrams(Inspector& inspector, loop::AsyncFd udp, Fd icmp) {
  inspector.add_listener();
  std::vector<Datagram> batch;
  Datagram datagram;
  while (true) {
    batch.clear();
    while (batch.size() < kBatch && receive_datagram(udp.get(), datagram)) batch.push_back(datagram);
    if (batch.empty()) {
      if (errno != EAGAIN) continue;
      udp.exhausted_read();
      inspector.listener_waits();
      co_await udp.readable();
      inspector.listener_goes_on();
      continue;
    }
    for (size_t i = 0; i + 1 < batch.size(); ++i) inspector.notices().post(datagram_notice(inspector, batch[i]));
    // Cumulative: when the last one is in the log, all are.
    co_await inspector.notices().written(datagram_notice(inspector, batch.back()));
    for (const Datagram& refused : batch) {
      const std::string message = port_unreachable(refused.from, refused.to);
      sockaddr_storage to;
      Endpoint sender = refused.from;
      sender.port = 0;  // a raw socket's address has none
      const socklen_t size = sender.to_sockaddr(to);
      (void)::sendto(icmp.get(), message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                     reinterpret_cast<sockaddr*>(&to), size);
    }
  }
}

}  // namespace stockade::egress
