#include "egress/resolver.h"

#include <sys/random.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "net/dns.h"

namespace stockade::egress {

namespace {

constexpr Duration kTryTimeout = std::chrono::milliseconds(1500);
constexpr Duration kTcpTimeout = std::chrono::milliseconds(3000);
constexpr int kRounds = 2;
constexpr size_t kAddressLimit = 16;

struct Query {
  net::DnsType type;
  std::string bytes;
  bool answered = false;
};

Result<Query> make_query(const std::string& name, net::DnsType type) {
  char noise[2 + 32];
  if (::getrandom(noise, sizeof(noise), 0) != static_cast<ssize_t>(sizeof(noise)))
    return fail_errno("get random bytes");
  uint16_t id;
  std::memcpy(&id, noise, sizeof(id));
  STOCKADE_ASSIGN(std::string bytes, net::build_dns_query(name, type, id, std::string_view(noise + 2, 32)));
  return Query{type, std::move(bytes)};
}

Result<loop::AsyncFd> connected_socket(loop::Loop& loop, int type, const Endpoint& server) {
  const int family = server.address.is_v4() ? AF_INET : AF_INET6;
  Fd fd(::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno("open a socket to the resolver");
  sockaddr_storage address;
  const socklen_t size = server.to_sockaddr(address);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), size) < 0 && errno != EINPROGRESS)
    return fail_errno("reach the resolver {}", server.to_string());
  return loop::AsyncFd::adopt(loop, std::move(fd));
}

}  // namespace

bool Resolver::has_asked(std::string_view name) const {
  return host_.hosts.contains(name) || asked_.contains(std::string(name));
}

void Resolver::remember(const std::string& name, Cached entry) {
  if (cache_.size() >= kCacheLimit) {
    const TimePoint now = loop_.now();
    std::erase_if(cache_, [&](const auto& cached) { return cached.second.until <= now; });
    if (cache_.size() >= kCacheLimit) cache_.erase(cache_.begin());
  }
  cache_.insert_or_assign(name, std::move(entry));
}

loop::Task<Result<std::vector<IpAddress>>> Resolver::resolve(std::string name) {
  if (const auto fixed = host_.hosts.find(name); fixed != host_.hosts.end()) co_return fixed->second;
  if (const auto cached = cache_.find(name); cached != cache_.end() && cached->second.until > loop_.now()) {
    if (!cached->second.failure.empty()) co_return fail(ErrorKind::unavailable, "{}", cached->second.failure);
    co_return cached->second.addresses;
  }
  if (!asked_.contains(name) && asked_.size() >= kAskedLimit)
    co_return fail(ErrorKind::limit, "{} names were resolved in this run", kAskedLimit);
  asked_.insert(name);
  auto answer = co_await ask_all(name);
  Cached entry;
  if (!answer) {
    entry.failure = answer.error().message();
  } else if (answer->no_such_name) {
    entry.failure = "the name does not exist (NXDOMAIN)";
  } else if (answer->addresses.empty()) {
    entry.failure = "the name has no address";
  }
  if (!entry.failure.empty()) {
    entry.until = loop_.now() + kNegativeTtl;
    std::string failure = entry.failure;
    remember(name, std::move(entry));
    co_return fail(ErrorKind::unavailable, "{}", failure);
  }
  const Duration ttl = std::chrono::seconds(answer->ttl);
  entry.addresses = answer->addresses;
  entry.until = loop_.now() + std::clamp(ttl, kTtlLeast, kTtlMost);
  remember(name, std::move(entry));
  co_return std::move(answer->addresses);
}

loop::Task<Result<Resolver::Answer>> Resolver::ask_all(std::string name) {
  Error last(ErrorKind::unavailable, "there is no resolver");
  for (int round = 0; round < kRounds; ++round) {
    for (const Endpoint& server : host_.resolvers) {
      auto answer = co_await ask(server, name);
      if (answer) co_return answer;
      last = std::move(answer).error();
    }
  }
  co_return std::unexpected(std::move(last));
}

loop::Task<Result<Resolver::Answer>> Resolver::ask(Endpoint server, std::string name) {
  std::vector<Query> queries;
  for (const net::DnsType type : {net::DnsType::a, net::DnsType::aaaa}) {
    STOCKADE_CO_ASSIGN(Query query, make_query(name, type));
    queries.push_back(std::move(query));
  }
  STOCKADE_CO_ASSIGN(loop::AsyncFd socket, connected_socket(loop_, SOCK_DGRAM, server));
  for (const Query& query : queries)
    if (::send(socket.get(), query.bytes.data(), query.bytes.size(), MSG_NOSIGNAL) < 0)
      co_return fail_errno("ask the resolver {}", server.to_string());

  Answer answer;
  answer.ttl = UINT32_MAX;
  size_t open = queries.size();
  bool refused = false;
  const TimePoint deadline = loop_.now() + kTryTimeout;
  std::string packet(4096, '\0');
  while (open > 0) {
    const ssize_t size = ::recv(socket.get(), packet.data(), packet.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno != EAGAIN) co_return fail_errno("hear from the resolver {}", server.to_string());
    if (size < 0) {
      socket.exhausted_read();
      const loop::Wake wake = co_await socket.readable(deadline);
      if (wake == loop::Wake::ready) continue;
      // One family is enough to go on with.
      if (!answer.addresses.empty()) break;
      co_return fail(ErrorKind::unavailable, "the resolver {} does not answer", server.to_string());
    }
    for (Query& query : queries) {
      if (query.answered) continue;
      auto response =
          net::parse_dns_response(std::string_view(packet).substr(0, static_cast<size_t>(size)), query.bytes);
      if (!response) continue;  // not the answer to this question: ignored, as a forged one would be
      if (response->truncated) {
        auto whole = co_await ask_tcp(server, query.bytes);
        if (!whole) co_return std::unexpected(std::move(whole).error());
        response = net::parse_dns_response(*whole, query.bytes);
        if (!response) co_return std::unexpected(std::move(response).error());
      }
      query.answered = true;
      --open;
      if (response->code == net::DnsCode::no_name)
        answer.no_such_name = true;
      else if (response->code != net::DnsCode::no_error)
        refused = true;
      for (const IpAddress& address : response->addresses)
        if (answer.addresses.size() < kAddressLimit) answer.addresses.push_back(address);
      if (!response->addresses.empty()) answer.ttl = std::min(answer.ttl, response->ttl);
      break;
    }
  }
  if (!answer.addresses.empty()) answer.no_such_name = false;
  if (answer.addresses.empty() && refused && !answer.no_such_name)
    co_return fail(ErrorKind::unavailable, "the resolver {} failed", server.to_string());
  co_return answer;
}

loop::Task<Result<std::string>> Resolver::ask_tcp(Endpoint server, std::string query) {
  STOCKADE_CO_ASSIGN(loop::AsyncFd socket, connected_socket(loop_, SOCK_STREAM, server));
  const TimePoint deadline = loop_.now() + kTcpTimeout;
  socket.exhausted_write();
  const loop::Wake wake = co_await socket.writable(deadline);
  if (wake == loop::Wake::timeout)
    co_return fail(ErrorKind::unavailable, "the resolver {} does not answer", server.to_string());
  auto written = co_await loop::write_fully(socket, net::dns_tcp_frame(query), deadline);
  if (!written) co_return std::unexpected(std::move(written).error());
  net::DnsTcpReader reader(65535);
  std::string buffer(4096, '\0');
  while (!reader.has_message()) {
    auto count = co_await loop::read_some(socket, buffer.data(), buffer.size(), deadline);
    if (!count) co_return std::unexpected(std::move(count).error());
    if (*count == 0) co_return fail(ErrorKind::unavailable, "the resolver {} hung up", server.to_string());
    auto fed = reader.feed(std::string_view(buffer).substr(0, *count));
    if (!fed) co_return std::unexpected(std::move(fed).error());
  }
  co_return reader.take_message();
}

}  // namespace stockade::egress
