// The connections to servers that carry the agent's requests, over all its connections: HTTP/1 ones that are idle, and
// HTTP/2 ones, whose streams are shared. A connection serves only the destination that the dialer made it for, and what
// was agreed on for it: TLS or not, HTTP/2 offered or not. Where a rule names programs or asks a person it serves one
// connection of the agent only, for that one was judged.
//
// Idle HTTP/1 connections are kept for kUpstreamIdle, at most kUpstreamsIdle of them, the oldest goes. One thread.
#pragma once

#include <compare>
#include <list>
#include <map>

#include "egress/server_http1.h"
#include "egress/server_http2.h"

namespace stockade::egress {

inline constexpr Duration kUpstreamIdle = std::chrono::seconds(20);
inline constexpr size_t kUpstreamsIdle = 256;

// Where a request is to go, and on whose behalf.
struct Route {
  Destination to;
  Endpoint client;     // the agent's end of its connection
  Endpoint original;   // what it connected to
  bool sealed = false;  // TLS, spoken by the sealer
  bool http2 = false;   // sealed: offered to the server; else: spoken without asking
};

struct Reached {
  std::shared_ptr<ServerStream> stream;  // null: why not
  bool reused = false;                   // the server may have closed the connection meanwhile
  DialResult result = DialResult::failed;
  std::string reason;
};

class UpstreamPool {
 public:
  explicit UpstreamPool(Inspector& inspector) : inspector_(inspector) {}
  UpstreamPool(const UpstreamPool&) = delete;

  // A stream for one exchange. `fresh`: on a connection that is made for it.
  loop::Task<Reached> reach(Route route, bool fresh);
  // Makes sure that there is a connection, and says what it speaks in `alpn`; without a socket, why not.
  loop::Task<Upstream> prepare(Route route);
  // A connection that stands already.
  void adopt(const Route& route, Upstream upstream);

 private:
  struct Key {
    std::string subject;
    bool sealed = false;
    bool http2 = false;
    Endpoint client;  // only where programs are named or a person is asked
    auto operator<=>(const Key&) const = default;
  };
  struct Idle {
    Key key;
    std::shared_ptr<ServerHttp1> connection;
    TimePoint since;
  };
  Key key_of(const Route& route) const;
  std::shared_ptr<ServerHttp1> take_idle(const Key& key);
  std::shared_ptr<ServerHttp2> shared_one(const Key& key);
  std::shared_ptr<ServerStream> stream_on(const Key& key, std::shared_ptr<ServerHttp1> connection);
  void keep(Key key, std::shared_ptr<ServerHttp1> connection);
  Result<std::shared_ptr<ServerHttp2>> share(const Key& key, loop::AsyncFd socket, uint64_t flow);
  loop::Task<Upstream> dial(Route route);
  loop::Task<void> sweep();

  Inspector& inspector_;
  std::list<Idle> idle_;  // newest first
  std::map<Key, std::shared_ptr<ServerHttp2>> shared_;
  bool sweeping_ = false;
};

}  // namespace stockade::egress
