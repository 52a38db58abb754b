#include "egress/upstream_pool.h"

#include "policy/decision.h"

namespace stockade::egress {

namespace {

constexpr Duration kSweep = std::chrono::seconds(5);
constexpr std::string_view kHttp2 = "h2";

}  // namespace

UpstreamPool::Key UpstreamPool::key_of(const Route& route) const {
  Key key{route.to.subject(), route.sealed, route.http2, Endpoint{}};
  const auto rule = static_cast<size_t>(route.to.rule);
  const auto& allow = inspector_.network().allow;
  if (rule >= allow.size() || !allow[rule].programs.empty() || policy::asks_at_connect(allow[rule]))
    key.client = route.client;
  return key;
}

std::shared_ptr<ServerHttp1> UpstreamPool::take_idle(const Key& key) {
  for (auto at = idle_.begin(); at != idle_.end();) {
    if (at->key != key) {
      ++at;
      continue;
    }
    auto connection = std::move(at->connection);
    at = idle_.erase(at);
    if (connection->is_idle()) return connection;
  }
  return nullptr;
}

std::shared_ptr<ServerHttp2> UpstreamPool::shared_one(const Key& key) {
  const auto found = shared_.find(key);
  if (found == shared_.end()) return nullptr;
  if (found->second->usable()) return found->second;
  found->second->retire();
  shared_.erase(found);
  return nullptr;
}

void UpstreamPool::keep(Key key, std::shared_ptr<ServerHttp1> connection) {
  idle_.push_front({std::move(key), std::move(connection), inspector_.loop().now()});
  if (idle_.size() > kUpstreamsIdle) idle_.pop_back();
  if (!std::exchange(sweeping_, true)) inspector_.loop().spawn(sweep());
}

std::shared_ptr<ServerStream> UpstreamPool::stream_on(const Key& key, std::shared_ptr<ServerHttp1> connection) {
  return std::make_shared<ServerHttp1Stream>(
      std::move(connection),
      [this, key](std::shared_ptr<ServerHttp1> back) { keep(key, std::move(back)); });
}

Result<std::shared_ptr<ServerHttp2>> UpstreamPool::share(const Key& key, loop::AsyncFd socket, uint64_t flow) {
  STOCKADE_ASSIGN(auto connection,
                  ServerHttp2::make(inspector_, std::move(socket), flow, key.sealed ? "https" : "http"));
  inspector_.loop().spawn(Http2Connection::run(connection, {}));
  if (const auto old = shared_.find(key); old != shared_.end()) old->second->retire();
  shared_[key] = connection;
  if (!std::exchange(sweeping_, true)) inspector_.loop().spawn(sweep());
  return connection;
}

loop::Task<Upstream> UpstreamPool::dial(Route route) {
  if (!route.sealed) co_return co_await inspector_.dial(route.to, route.client, route.original);
  co_return co_await inspector_.dial_sealed(route.to, route.client, route.original, route.http2);
}

loop::Task<Reached> UpstreamPool::reach(Route route, bool fresh) {
  const Key key = key_of(route);
  Reached reached;
  reached.result = DialResult::connected;
  if (auto shared = fresh ? nullptr : shared_one(key)) {
    reached.stream = shared->open_stream();
    reached.reused = true;
    co_return reached;
  }
  if (auto idle = fresh ? nullptr : take_idle(key)) {
    reached.stream = stream_on(key, std::move(idle));
    reached.reused = true;
    co_return reached;
  }
  Upstream upstream = co_await dial(route);
  reached.result = upstream.result;
  reached.reason = upstream.reason;
  if (!upstream.socket) co_return reached;
  auto socket = loop::AsyncFd::adopt(inspector_.loop(), std::move(upstream.socket));
  if (!socket) {
    inspector_.flow_ended(upstream.flow, true);
    reached.reason = socket.error().message();
    co_return reached;
  }
  const bool http2 = route.sealed ? upstream.alpn == kHttp2 : route.http2;
  if (!http2) {
    reached.stream = stream_on(key, std::make_shared<ServerHttp1>(inspector_, std::move(*socket), upstream.flow));
    co_return reached;
  }
  auto connection = share(key, std::move(*socket), upstream.flow);
  if (connection)
    reached.stream = (*connection)->open_stream();
  else
    reached.reason = connection.error().message();
  co_return reached;
}

loop::Task<Upstream> UpstreamPool::prepare(Route route) {
  const Key key = key_of(route);
  Upstream prepared;
  prepared.result = DialResult::connected;
  if (shared_one(key)) {
    prepared.alpn = kHttp2;
    co_return prepared;
  }
  for (const Idle& idle : idle_) {
    if (idle.key != key || !idle.connection->is_idle()) continue;
    prepared.alpn = idle.connection->alpn;
    co_return prepared;
  }
  Upstream upstream = co_await dial(route);
  prepared.result = upstream.result;
  prepared.reason = upstream.reason;
  prepared.alpn = upstream.alpn;
  if (upstream.socket) adopt(route, std::move(upstream));
  co_return prepared;
}

void UpstreamPool::adopt(const Route& route, Upstream upstream) {
  const Key key = key_of(route);
  auto socket = loop::AsyncFd::adopt(inspector_.loop(), std::move(upstream.socket));
  if (!socket) {
    inspector_.flow_ended(upstream.flow, true);
    return;
  }
  if (route.sealed ? upstream.alpn == kHttp2 : route.http2) {
    (void)share(key, std::move(*socket), upstream.flow);
    return;
  }
  auto connection = std::make_shared<ServerHttp1>(inspector_, std::move(*socket), upstream.flow);
  connection->alpn = std::move(upstream.alpn);
  keep(key, std::move(connection));
}

// While there is something to keep.
loop::Task<void> UpstreamPool::sweep() {
  while (!idle_.empty() || !shared_.empty()) {
    co_await inspector_.loop().sleep(kSweep);
    const TimePoint oldest = inspector_.loop().now() - kUpstreamIdle;
    std::erase_if(idle_, [&](const Idle& idle) { return idle.since < oldest || !idle.connection->is_idle(); });
    std::erase_if(shared_, [&](const auto& entry) {
      if (entry.second->usable() && !entry.second->unused_since(oldest)) return false;
      entry.second->retire();
      return true;
    });
  }
  sweeping_ = false;
}

}  // namespace stockade::egress
