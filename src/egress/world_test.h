// A miniature internet for the tests of this folder: one network namespace in which every address is local (servers may
// bind any, none is an address of the host), a second one behind Stockade's redirect for the agent, and the real
// workers between them. Everything runs in a forked child, as root or as an ordinary user in a user namespace of its
// own, and is gone with it.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "egress/egress_link.h"

namespace stockade::egress::world {

// Counters that servers and agent share with the judge.
struct Counters {
  int connections = 0;      // accepted by any server
  int dns_queries = 0;      // seen by the resolver outside
  long bytes_received = 0;  // by servers
  int agent_connects = 0;   // successful connects inside
  int reached = 0;          // what a hostile inspector reached
  int refused = 0;          // and what it was refused
  int received_size = 0;    // note_received()
  char received[256 * 1024] = {};
  int authority_size = 0;  // of the run's own authority, once it is made
  char authority[kAuthorityLimit] = {};

  std::string_view received_bytes() const { return {received, static_cast<size_t>(received_size)}; }
};

class Servers {
 public:
  using Handler = std::function<void(int socket)>;
  // Both families by the address's own.
  void tcp(const std::string& endpoint, Handler handler);
  // Answers A and AAAA with the n-th entry for the n-th query of that type (the last one stays).
  void dns(const std::string& endpoint, std::map<std::string, std::vector<std::string>> answers);
};

struct Script {
  policy::Policy policy;
  std::function<void(Servers&)> servers;
  std::function<int()> agent;  // 0: as expected
  std::function<AdmissionVerdict(const FlowRequest&)> admit = [](const FlowRequest&) { return AdmissionVerdict{}; };
  // What a person says to a question; may keep it. Without one nobody is expected to be asked.
  std::function<void(const event::Event&, OnAnswer)> person = [](const event::Event&, const OnAnswer& then) {
    then({false, "nobody is asked in this test", 0});
  };
  std::function<void(const std::vector<event::Event>&, const Counters&)> check;  // EXPECTs run in the child
  EgressLink::Workers workers = {run_inspector, run_sealer};
  std::string ends_at = {};     // the first allowed event of this kind passes a limit
  bool check_total = false;     // as many refusals as the agent counted connects
  bool expect_failure = false;  // a worker is expected to break its protocol
  uid_t uid = 0;
  int proxy_port = 0;  // instead of the redirect: an explicit proxy on 127.0.0.1
};

// Runs the script in a child, and fails the test when something in it failed.
void play(Script script);
// Twice: as root, and as an ordinary user.
void play_as_both(const Script& script);

// ---- for agents (blocking, with deadlines)
// -----------------------------------------------------------------------------
int connect_to(const std::string& endpoint);  // -1 with errno
std::vector<std::string> look_up(const std::string& name, bool v6 = false, bool tcp = false);
int connect_to_name(const std::string& name, int port, bool v6 = false);
bool send_all(int socket, std::string_view bytes);
std::string receive_all(int socket, size_t limit = 1 << 20);  // to the end, a reset, or the limit
// The connection is reset, be it at the sending of `first` or at the next read.
bool was_reset(int socket, std::string_view first = {});
std::string client_hello(const std::string& sni, bool ech = false);  // empty: no SNI

Counters& counters();
// For servers: what came, for the judge to look at.
void note_received(std::string_view bytes);
// The certificate that programs inside must trust (PEM); empty if it does not come.
std::string run_authority();

// ---- policies
// ----------------------------------------------------------------------------------------------------------
policy::NetworkRule allow(const std::string& host, int port, policy::Protocol protocol = policy::Protocol::automatic);
policy::Policy policy_of(std::vector<policy::NetworkRule> rules);  // resolver 9.9.9.9:53

int count_events(const std::vector<event::Event>& events, std::string_view kind, event::Decision decision,
                 std::string_view subject = {});
// The reason of the first refusal of `subject`; empty: none.
std::string refusal_of(const std::vector<event::Event>& events, std::string_view subject);

}  // namespace stockade::egress::world
