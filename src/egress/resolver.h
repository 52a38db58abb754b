// Resolver: the dialer's own DNS client. Asks only for names that it is told to (the dialer asks for names that a rule
// allows, after the supervisor has logged it), from /etc/hosts first, then from the host's resolvers: one connected UDP
// socket with a fresh port for each question, random ids and letter case (net/dns.h checks both), TCP when an answer is
// cut. A and AAAA are asked at the same time. Answers live in a bounded cache between kTtlLeast and kTtlMost; failures
// for kNegativeTtl. It checks no address: every use of an answer does. One thread.
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "egress/host_view.h"
#include "loop/loop.h"

namespace stockade::egress {

class Resolver {
 public:
  Resolver(loop::Loop& loop, const HostView& host) : loop_(loop), host_(host) {}

  loop::Task<Result<std::vector<IpAddress>>> resolve(std::string name);

  // True if this name needs no question, or was asked for before in this run.
  bool has_asked(std::string_view name) const;

  static constexpr Duration kTtlLeast = std::chrono::seconds(5);
  static constexpr Duration kTtlMost = std::chrono::seconds(300);
  static constexpr Duration kNegativeTtl = std::chrono::seconds(3);
  static constexpr size_t kCacheLimit = 2048;
  static constexpr size_t kAskedLimit = 65536;

 private:
  struct Answer {
    std::vector<IpAddress> addresses;
    uint32_t ttl = 0;
    bool no_such_name = false;
  };
  struct Cached {
    std::vector<IpAddress> addresses;
    std::string failure;  // empty: addresses are good
    TimePoint until;
  };
  loop::Task<Result<Answer>> ask_all(std::string name);
  loop::Task<Result<Answer>> ask(Endpoint server, std::string name);
  loop::Task<Result<std::string>> ask_tcp(Endpoint server, std::string query);
  void remember(const std::string& name, Cached entry);

  loop::Loop& loop_;
  const HostView& host_;
  std::unordered_map<std::string, Cached> cache_;
  std::unordered_set<std::string> asked_;
};

}  // namespace stockade::egress
