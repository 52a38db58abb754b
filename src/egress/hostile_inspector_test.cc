// An inspector that was taken over: a program that holds the inspector's two sockets, is confined as the inspector is,
// and tries to reach names, addresses, ports, counts and bytes beyond the policy.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/message_socket.h"
#include "egress/worker.h"
#include "egress/world_test.h"

namespace stockade::egress::world {
namespace {

using event::Decision;
using policy::Protocol;

class Rogue {
 public:
  Rogue(Fd supervisor, Fd dialer, Fd sealer)
      : supervisor_(std::move(supervisor)), dialer_(std::move(dialer)), sealer_(std::move(sealer)) {
    close_all_except({supervisor_.get(), dialer_.get(), sealer_.get()});
  }
  int supervisor() const { return supervisor_.get(); }
  int dialer() const { return dialer_.get(); }

  template <typename Record>
  void send(int socket, const Record& record) {
    WireWriter out;
    out.put(Record::kType);
    write_record(out, record);
    (void)send_message(socket, out.bytes());
  }

  // Asks the dialer and waits for its answer; a connection comes with a descriptor. Counts what was reached.
  Fd dial(Destination to) {
    Dial dial;
    dial.flow = ++flow_;
    dial.to = std::move(to);
    send(dialer(), dial);
    Message message;
    if (receive_message(dialer(), message).value_or(ReceiveState::closed) != ReceiveState::message) return Fd();
    WireReader in(message.bytes);
    (void)in.get_enum(RecordType::drained);
    Dialed dialed;
    read_record(in, dialed);
    if (dialed.result == DialResult::connected)
      ++counters().reached;
    else
      ++counters().refused;
    return message.fds.empty() ? Fd() : std::move(message.fds[0]);
  }

  uint64_t flow_ = 0;

 private:
  Fd supervisor_;
  Fd dialer_;
  Fd sealer_;  // none where nothing is opened
};

Destination by_name(const std::string& host, uint16_t port, int32_t rule) {
  Destination to;
  to.host = host;
  to.port = port;
  to.rule = rule;
  return to;
}

Destination by_address(const std::string& address, uint16_t port, int32_t rule) {
  Destination to;
  to.address = *IpAddress::parse(address);
  to.port = port;
  to.rule = rule;
  return to;
}

// Past send_message(), which keeps to our own bound.
void flood_with_descriptors(int socket, size_t count) {
  for (int turn = 0; turn < 64; ++turn) {
    char byte = static_cast<char>(RecordType::closed);
    iovec part{&byte, 1};
    std::vector<char> control(CMSG_SPACE(sizeof(int) * count));
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * count);
    std::fill_n(reinterpret_cast<int*>(CMSG_DATA(rights)), count, socket);
    if (::sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) return;
  }
}

Script rogue_script(std::function<void(Rogue&)> body) {
  Script script;
  script.proxy_port = 3128;  // no agent is needed
  script.expect_failure = true;
  script.policy = policy_of({allow("api.example", 443, Protocol::tcp), allow("*.wild.example", 443, Protocol::tcp)});
  script.servers = [](Servers& servers) {
    servers.dns(
        "9.9.9.9:53",
        {{"api.example", {"93.184.216.34"}}, {"evil.example", {"93.184.216.35"}}, {"x.wild.example", {"127.0.0.1"}}});
    const auto count_bytes = [](int socket) {
      char buffer[65536];
      ssize_t count;
      while ((count = ::recv(socket, buffer, sizeof(buffer), 0)) > 0)
        __atomic_add_fetch(&counters().bytes_received, count, __ATOMIC_SEQ_CST);
    };
    for (const char* address : {"93.184.216.34:443", "93.184.216.35:443", "127.0.0.1:443", "169.254.169.254:443"})
      servers.tcp(address, count_bytes);
    servers.tcp("93.184.216.34:22", count_bytes);
  };
  const auto policy = script.policy;
  script.workers.inspector = [body, policy](InspectorOptions options) {
    Fd supervisor = std::move(options.supervisor), dialer = std::move(options.dialer);
    Rogue rogue(std::move(supervisor), std::move(dialer), std::move(options.sealer));
    if (!confine_egress_worker(WorkerKind::inspector, 0, policy.network)) return 1;
    body(rogue);
    return 0;
  };
  return script;
}

TEST(HostileInspector, HasNoWayPastAQuestion) {
  Script script = rogue_script([](Rogue& rogue) {
    rogue.dial(by_name("api.example", 443, 0));
    rogue.dial(by_name("api.example", 443, 1));  // another rule's index
    Notice notice;
    notice.seq = 1;
    notice.kind = NoticeKind::connect;
    notice.decision = NoticeDecision::ask;  // a question about a connection is the supervisor's own
    notice.subject = "harmless.example:443";
    rogue.send(rogue.supervisor(), notice);
    Message message;
    (void)receive_message(rogue.supervisor(), message);
  });
  script.policy.network.allow[0].ask = true;
  script.check = [](const auto& events, const Counters& seen) {
    EXPECT_EQ(seen.reached, 0);
    EXPECT_EQ(seen.connections, 0);
    EXPECT_EQ(seen.dns_queries, 0);
    EXPECT_EQ(count_events(events, "connect", Decision::ask, "api.example:443"), 1);
    EXPECT_EQ(count_events(events, "connect", Decision::ask, "harmless.example:443"), 0);
  };
  play_as_both(script);
}

TEST(HostileInspector, ReachesNoNameAddressOrPortBeyondThePolicy) {
  Script script = rogue_script([](Rogue& rogue) {
    for (const int32_t rule : {-1, 0, 1, 2, 1'000'000, INT32_MIN}) {
      rogue.dial(by_name("evil.example", 443, rule));
      rogue.dial(by_name("api.example", 22, rule));
      rogue.dial(by_name("127.0.0.1", 443, rule));
      rogue.dial(by_name("localhost", 443, rule));
      rogue.dial(by_name("x.wild.example", 443, rule));  // a name that resolves to loopback
      rogue.dial(by_name("mfrggzdfmztwq2lknnwg23tpobyxe43uov3h.wild.example", 443, rule));
      for (const char* spelling :
           {"API.example", "api.example.", "api.example\n", " api.example", "api.example@evil.example", ""})
        rogue.dial(by_name(spelling, 443, rule));
      for (const char* address : {"93.184.216.34", "127.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1"})
        rogue.dial(by_address(address, 443, rule));
    }
    rogue.dial(by_name("api.example", 443, 1));  // the wrong rule
  });
  script.check = [](const auto& events, const Counters& seen) {
    EXPECT_EQ(seen.reached, 0);
    EXPECT_EQ(seen.connections, 0);
    EXPECT_EQ(seen.refused, 6 * 17 + 1);
    EXPECT_LE(seen.dns_queries, 12);  // of x.wild.example, which a rule allows to ask for
    EXPECT_EQ(count_events(events, "connect", Decision::allow, "evil.example:443"), 0);
    EXPECT_NE(refusal_of(events, "evil.example:443"), "");
  };
  play_as_both(script);
}

TEST(HostileInspector, MakesNoSocketAndTurnsNoneElsewhere) {
  Script script = rogue_script([](Rogue& rogue) {
    const Fd given = rogue.dial(by_name("api.example", 443, 0));
    counters().reached = 0;
    sockaddr_storage address;
    const socklen_t size = Endpoint::parse("93.184.216.35:443")->to_sockaddr(address);
    const auto* to = reinterpret_cast<sockaddr*>(&address);
    sockaddr none{};
    none.sa_family = AF_UNSPEC;
    const uint64_t rate = ~uint64_t{0};
    const int reached[] = {
        ::socket(AF_INET, SOCK_STREAM, 0) >= 0,
        ::socket(AF_INET, SOCK_DGRAM, 0) >= 0,
        ::connect(given.get(), to, size) == 0,
        ::connect(given.get(), &none, sizeof(none)) == 0,
        ::bind(given.get(), to, size) == 0,
        ::listen(given.get(), 1) == 0,
        ::setsockopt(given.get(), SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof(rate)) == 0,
        ::open("/etc/passwd", O_RDONLY) >= 0,
        ::fork() > 0,
    };
    for (const int one : reached) counters().reached += one;
    counters().refused = 1;
  });
  script.check = [](const auto&, const Counters& seen) {
    EXPECT_EQ(seen.reached, 0);
    EXPECT_EQ(seen.refused, 1);
    EXPECT_EQ(seen.connections, 1);
  };
  play_as_both(script);
}

TEST(HostileInspector, OpensNoMoreConnectionsThanAdmitted) {
  Script script = rogue_script([](Rogue& rogue) {
    std::vector<Fd> kept;
    for (int i = 0; i < 50; ++i) kept.push_back(rogue.dial(by_name("api.example", 443, 0)));
  });
  script.admit = [left = 7](const FlowRequest&) mutable {
    AdmissionVerdict verdict;
    verdict.allowed = left-- > 0;
    verdict.reason = "limits.connections is used up";
    return verdict;
  };
  script.check = [](const auto& events, const Counters& seen) {
    EXPECT_EQ(seen.reached, 7);
    EXPECT_EQ(seen.refused, 43);
    EXPECT_EQ(seen.connections, 7);
    EXPECT_EQ(count_events(events, "connect", Decision::allow, "api.example:443"), 7);
  };
  play(script);
}

TEST(HostileInspector, SendsNoMoreBytesThanTheLimit) {
  Script script = rogue_script([](Rogue& rogue) {
    std::vector<Fd> flows;
    for (int i = 0; i < 4; ++i) flows.push_back(rogue.dial(by_name("api.example", 443, 0)));
    const std::string block(1 << 20, 'x');
    std::vector<pollfd> open;
    for (const Fd& flow : flows) open.push_back({flow.get(), POLLOUT, 0});
    while (!open.empty() && ::poll(open.data(), open.size(), 20'000) > 0) {
      for (pollfd& flow : open)
        if (flow.revents && ::send(flow.fd, block.data(), block.size(), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
            errno != EAGAIN)
          flow.fd = -1;
      std::erase_if(open, [](const pollfd& flow) { return flow.fd < 0; });
    }
    rogue.dial(by_name("api.example", 443, 0));  // and no further flow
  });
  script.policy.limits.bytes_out = 8 << 20;
  script.check = [](const auto& events, const Counters& seen) {
    EXPECT_LE(seen.bytes_received, (8 << 20) + 4 * 2 * 65536);
    EXPECT_GE(seen.bytes_received, 4 << 20);
    EXPECT_EQ(seen.reached, 4);
    EXPECT_EQ(seen.refused, 1);
    EXPECT_EQ(count_events(events, "upstream", Decision::deny, "limits.bytes_out"), 1);
  };
  play_as_both(script);
}

// Says that flows are over, and goes on sending through the descriptors that it kept.
TEST(HostileInspector, SendsNothingThroughAConnectionThatItSaidIsOver) {
  Script script = rogue_script([](Rogue& rogue) {
    const std::string block(1 << 20, 'x');
    for (int i = 0; i < 8; ++i) {
      const Fd kept = rogue.dial(by_name("api.example", 443, 0));
      rogue.send(rogue.dialer(), Closed{rogue.flow_, false});
      rogue.dial(by_name("evil.example", 443, 0));  // its answer says that the record before it was read
      ssize_t sent;
      while ((sent = ::send(kept.get(), block.data(), block.size(), MSG_NOSIGNAL)) > 0)
        if (__atomic_add_fetch(&counters().agent_connects, static_cast<int>(sent), __ATOMIC_SEQ_CST) > 64 << 20) break;
    }
  });
  script.policy.limits.bytes_out = 1 << 20;
  script.check = [](const auto&, const Counters& seen) {
    EXPECT_EQ(seen.reached, 8);
    EXPECT_EQ(seen.agent_connects, 0);  // bytes that were taken
    EXPECT_EQ(seen.bytes_received, 0);
  };
  play_as_both(script);
}

// A connection that its server has reset is a socket again; TCP Fast Open would connect it elsewhere without
// connect(2).
TEST(HostileInspector, TurnsNoConnectionThatWasResetElsewhere) {
  Script script = rogue_script([](Rogue& rogue) {
    const Fd given = rogue.dial(by_name("api.example", 443, 0));
    counters().reached = 0;
    pollfd closed{given.get(), POLLIN, 0};
    (void)::poll(&closed, 1, 10'000);
    char byte;
    (void)!::recv(given.get(), &byte, 1, 0);  // takes the error
    sockaddr_storage address;
    const socklen_t size = Endpoint::parse("93.184.216.35:443")->to_sockaddr(address);
    auto* to = reinterpret_cast<sockaddr*>(&address);
    iovec part{const_cast<char*>("secret"), 6};
    mmsghdr many{};
    many.msg_hdr.msg_name = to;
    many.msg_hdr.msg_namelen = size;
    many.msg_hdr.msg_iov = &part;
    many.msg_hdr.msg_iovlen = 1;
    const int on = 1;
    const bool reached[] = {
        ::sendto(given.get(), "secret", 6, MSG_FASTOPEN | MSG_NOSIGNAL, to, size) >= 0,
        ::sendmsg(given.get(), &many.msg_hdr, MSG_FASTOPEN | MSG_NOSIGNAL) >= 0,
        ::sendmmsg(given.get(), &many, 1, MSG_FASTOPEN | MSG_NOSIGNAL) >= 0,
        ::sendto(given.get(), "secret", 6, MSG_NOSIGNAL, to, size) >= 0,
        ::setsockopt(given.get(), IPPROTO_TCP, 30 /* TCP_FASTOPEN_CONNECT */, &on, sizeof(on)) == 0,
        ::connect(given.get(), to, size) == 0,
    };
    for (const bool one : reached) counters().reached += one;
    counters().refused = 1;
  });
  script.servers = [servers = script.servers](Servers& book) {
    book.dns("9.9.9.9:53", {{"api.example", {"93.184.216.34"}}});
    book.tcp("93.184.216.34:443", [](int socket) {
      const linger hard{1, 0};
      ::setsockopt(socket, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    });
    book.tcp("93.184.216.35:443", [](int) { __atomic_add_fetch(&counters().bytes_received, 1, __ATOMIC_SEQ_CST); });
  };
  script.check = [](const auto&, const Counters& seen) {
    EXPECT_EQ(seen.refused, 1);
    EXPECT_EQ(seen.reached, 0);
    EXPECT_EQ(seen.bytes_received, 0);
    EXPECT_EQ(seen.connections, 1);
  };
  play_as_both(script);
}

// Asks and asks without hearing an answer, and keeps every descriptor that comes: what the dialer holds is bounded, and
// so is what it opens.
TEST(HostileInspector, ExhaustsNothingByAskingWithoutEnd) {
  Script script = rogue_script([](Rogue& rogue) {
    WireWriter batch;
    for (int i = 0; i < 300'000; ++i) {
      Dial dial;
      dial.flow = ++rogue.flow_;
      dial.to = by_name(i % 2 ? "api.example" : "evil.example", 443, 0);
      batch.put(Dial::kType);
      write_record(batch, dial);
      if (batch.bytes().size() < 40'000) continue;
      if (!send_message(rogue.dialer(), batch.bytes())) return;  // the dialer has had enough
      batch = WireWriter();
    }
  });
  script.admit = [left = 20](const FlowRequest&) mutable {
    AdmissionVerdict verdict;
    verdict.allowed = left-- > 0;
    verdict.reason = "limits.connections is used up";
    return verdict;
  };
  script.check = [](const auto& events, const Counters& seen) {
    EXPECT_LE(seen.connections, 20);
    EXPECT_EQ(count_events(events, "connect", Decision::allow, "evil.example:443"), 0);
  };
  play_as_both(script);
}

// TLS that begins in a connection: only of rules whose bytes are read, once, and with the one that was dialled.
TEST(HostileInspector, HasNoOtherConnectionGoOnInsideTls) {
  const auto seal = [](Rogue& rogue, uint64_t flow) { rogue.send(rogue.dialer(), SealFlow{flow, {}}); };
  const std::vector<std::pair<const char*, std::function<void(Rogue&)>>> attacks = {
      {"of a rule that passes through",
       [seal](Rogue& rogue) {
         const Fd socket = rogue.dial(by_name("api.example", 443, 0));
         seal(rogue, rogue.flow_);
       }},
      {"a second time",
       [seal](Rogue& rogue) {
         const Fd socket = rogue.dial(by_name("api.example", 22, 2));
         seal(rogue, rogue.flow_);
         seal(rogue, rogue.flow_);
       }},
      {"of a connection that is sealed already", [seal](Rogue& rogue) {
         Dial dial;
         dial.flow = ++rogue.flow_;
         dial.to = by_name("api.example", 22, 2);
         dial.sealed = true;
         rogue.send(rogue.dialer(), dial);
         Message message;
         (void)receive_message(rogue.dialer(), message);
         seal(rogue, dial.flow);
       }}};
  for (const auto& [name, attack] : attacks) {
    SCOPED_TRACE(name);
    Script script = rogue_script([attack](Rogue& rogue) {
      attack(rogue);
      char byte;
      (void)!::read(rogue.supervisor(), &byte, 1);
    });
    auto rule = allow("api.example", 22, Protocol::tcp);
    rule.tls = policy::TlsMode::unset;
    script.policy.network.allow.push_back(rule);
    script.check = [](const auto& events, const Counters& seen) {
      EXPECT_LE(seen.reached, 1);
      EXPECT_EQ(count_events(events, "connect", Decision::allow, "evil.example:443"), 0);
    };
    play(script);
  }
}

TEST(HostileInspector, IsToldThatAConnectionIsOverWhenItAsksForTlsTooLate) {
  Script script = rogue_script([](Rogue& rogue) {
    (void)rogue.dial(by_name("api.example", 22, 2));
    rogue.send(rogue.dialer(), Closed{rogue.flow_, false});
    rogue.send(rogue.dialer(), SealFlow{rogue.flow_, {}});
    Message message;
    (void)receive_message(rogue.dialer(), message);
    WireReader in(message.bytes);
    Dialed dialed;
    if (in.get_enum(kLastRecord) == RecordType::dialed) read_record(in, dialed);
    if (dialed.flow == rogue.flow_ && dialed.result == DialResult::failed) ++counters().refused;
  });
  auto rule = allow("api.example", 22, Protocol::tcp);
  rule.tls = policy::TlsMode::unset;
  script.policy.network.allow.push_back(rule);
  script.check = [](const auto&, const Counters& seen) { EXPECT_EQ(seen.refused, 1); };
  play_as_both(script);
}

TEST(HostileInspector, EndsTheRunByAnythingMalformed) {
  const std::vector<std::pair<const char*, std::function<void(Rogue&)>>> attacks = {
      {"garbage to the dialer", [](Rogue& rogue) { (void)send_message(rogue.dialer(), "\xff\xff\xff\xff garbage"); }},
      {"half a record", [](Rogue& rogue) { (void)send_message(rogue.dialer(), std::string("\3\1\0\0", 4)); }},
      {"a flow id twice",
       [](Rogue& rogue) {
         Dial dial;
         dial.flow = 5;
         dial.to = by_name("api.example", 443, 0);
         rogue.send(rogue.dialer(), dial);
         rogue.send(rogue.dialer(), dial);
       }},
      {"an admission of its own", [](Rogue& rogue) { rogue.send(rogue.dialer(), Admission{1, true, ""}); }},
      {"descriptors for the dialer",
       [](Rogue& rogue) {
         const int fd = 0;
         WireWriter out;
         out.put(RecordType::closed);
         write_record(out, Closed{1, false});
         (void)send_message(rogue.dialer(), out.bytes(), std::span(&fd, 1));
       }},
      {"a flood of descriptors for the dialer",
       [](Rogue& rogue) { flood_with_descriptors(rogue.dialer(), kMessageFdLimit); }},
      {"more descriptors than a message has room for",
       [](Rogue& rogue) { flood_with_descriptors(rogue.dialer(), 250); }},
      {"a flood of descriptors for the supervisor",
       [](Rogue& rogue) { flood_with_descriptors(rogue.supervisor(), kMessageFdLimit); }},
      {"more of them for the supervisor", [](Rogue& rogue) { flood_with_descriptors(rogue.supervisor(), 250); }},
      {"a flow without a number",
       [](Rogue& rogue) {
         Dial dial;
         dial.to = by_name("api.example", 443, 0);
         rogue.send(rogue.dialer(), dial);
       }},
      {"an answer in the dialer's place",
       [](Rogue& rogue) { rogue.send(rogue.dialer(), Dialed{1, DialResult::connected, ""}); }},
      {"TLS where nothing is opened", [](Rogue& rogue) { rogue.send(rogue.dialer(), SealFlow{1, {}}); }},
      {"traffic of its own", [](Rogue& rogue) { rogue.send(rogue.supervisor(), Traffic{1, 0, 0, true}); }},
      {"an acknowledgement in the supervisor's place",
       [](Rogue& rogue) { rogue.send(rogue.dialer(), Acked{1, 1, true}); }},
      {"a cut in the supervisor's place", [](Rogue& rogue) { rogue.send(rogue.dialer(), Cut{0}); }},
      {"a record of no known type", [](Rogue& rogue) { (void)send_message(rogue.dialer(), std::string(1, '\x7f')); }},
      {"a message that is too long",
       [](Rogue& rogue) {
         const std::string long_one(kMessageLimit + 1, '\1');
         (void)::send(rogue.supervisor(), long_one.data(), long_one.size(), MSG_NOSIGNAL);
       }},
      {"garbage to the supervisor",
       [](Rogue& rogue) { (void)send_message(rogue.supervisor(), std::string(60000, '\xee')); }},
      {"an event that allows a connection",
       [](Rogue& rogue) {
         Notice notice;
         notice.seq = 1;
         notice.decision = NoticeDecision::allow;
         notice.subject = "evil.example:443";
         rogue.send(rogue.supervisor(), notice);
       }},
      {"an event out of order",
       [](Rogue& rogue) {
         Notice notice;
         notice.seq = 9;
         rogue.send(rogue.supervisor(), notice);
       }},
      {"an event that counts for a billion",
       [](Rogue& rogue) {
         Notice notice;
         notice.seq = 1;
         notice.count = 1'000'000'000;
         rogue.send(rogue.supervisor(), notice);
       }},
      {"an admission request, as if it were the dialer",
       [](Rogue& rogue) {
         Admit admit;
         admit.flow = 1;
         admit.to = by_name("api.example", 443, 0);
         rogue.send(rogue.supervisor(), admit);
       }},
  };
  for (const auto& [name, attack] : attacks) {
    SCOPED_TRACE(name);
    // It stays alive: what ends the run is what it said.
    Script script = rogue_script([attack](Rogue& rogue) {
      attack(rogue);
      char byte;
      (void)!::read(rogue.supervisor(), &byte, 1);
    });
    script.check = [](const auto& events, const Counters& seen) {
      EXPECT_EQ(seen.connections, 0);
      EXPECT_EQ(count_events(events, "connect", Decision::allow, "evil.example:443"), 0);
    };
    play(script);
  }
}

}  // namespace
}  // namespace stockade::egress::world
