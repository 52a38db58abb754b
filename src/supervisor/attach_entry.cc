#include "supervisor/attach_entry.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>

#include "base/message_socket.h"
#include "base/wire.h"
#include "sandbox/init.h"

namespace stockade::supervisor {

namespace {

constexpr size_t kPortLimit = 1000;  // closed ones; more are refused

enum class Word : uint8_t { done, failed };

Result<Message> next_message(int channel) {
  Message message;
  STOCKADE_ASSIGN(const ReceiveState state, receive_message(channel, message));
  if (state != ReceiveState::message || message.bytes.empty())
    return fail(ErrorKind::internal, "the process that enters the target ended without a word");
  if (message.bytes[0] == static_cast<char>(Word::failed))
    return std::unexpected(sandbox::decode_failure(std::string_view(message.bytes).substr(1)));
  return message;
}

std::string encode(const std::vector<net::LocalPort>& ports) {
  WireWriter out;
  out.put(Word::done).put(static_cast<uint32_t>(ports.size()));
  for (const net::LocalPort& port : ports) out.put(port.protocol).put(port.port);
  return out.bytes();
}

Result<std::vector<net::LocalPort>> decode_ports(std::string_view bytes) {
  WireReader in(bytes.substr(1));
  std::vector<net::LocalPort> ports;
  const auto count = in.get<uint32_t>();
  for (uint32_t i = 0; i < count && i <= kPortLimit; ++i) {
    const auto protocol = in.get<uint8_t>();
    ports.push_back({protocol, in.get<uint16_t>()});
  }
  if (!in.finished()) return fail(ErrorKind::protocol, "an order to the process inside is malformed");
  return ports;
}

Result<void> work(int channel, int network, int owner) {
  if (owner >= 0 && ::setns(owner, CLONE_NEWUSER) < 0) return fail_errno("enter the target's user namespace");
  STOCKADE_ASSIGN(net::EnteredNetwork entered, net::enter_network(network));
  const int sockets[] = {entered.diag.get(), entered.links.get()};
  STOCKADE_TRY(send_message(channel, WireWriter().put(Word::done).bytes(), sockets));
  Message order;
  STOCKADE_ASSIGN(const ReceiveState state, receive_message(channel, order));
  if (state != ReceiveState::message) return {};  // let go
  STOCKADE_ASSIGN(auto ports, decode_ports(order.bytes));
  STOCKADE_ASSIGN(const net::Takeover taken, net::take_over(std::move(entered), std::move(ports)));
  return send_message(channel, WireWriter().put(Word::done).put(taken.connections_cut).bytes(), taken.descriptors());
}

int run(int channel, int network, int owner) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  ::prctl(PR_SET_NAME, "stockade-entry", 0, 0, 0);
  close_all_except({channel, network, owner});
  if (auto done = work(channel, network, owner); !done) {
    std::string failure(1, static_cast<char>(Word::failed));
    // The tag of encode_failure() is another protocol's.
    failure += sandbox::encode_failure(done.error()).substr(1);
    (void)send_message(channel, failure);
    return 1;
  }
  return 0;
}

}  // namespace

Result<AttachEntry> AttachEntry::start(const AttachTarget& target) {
  STOCKADE_ASSIGN(auto channel, make_socket_pair(SOCK_SEQPACKET));
  const int inner = channel[1].get();
  const int network = target.network.get();
  const int owner = target.enter_owner ? target.owner.get() : -1;
  STOCKADE_ASSIGN(Pid process, fork_child([&] { return run(inner, network, owner); }));
  channel[1].reset();
  STOCKADE_ASSIGN(Message message, next_message(channel[0].get()));
  if (message.fds.size() != 2) return fail(ErrorKind::internal, "the process inside sent no sockets");
  return AttachEntry(std::move(channel[0]), std::move(process), std::move(message.fds[0]), std::move(message.fds[1]));
}

Result<net::Takeover> AttachEntry::take_over(const std::vector<net::LocalPort>& closed_ports) {
  if (closed_ports.size() > kPortLimit)
    return fail(ErrorKind::denied, "{} ports of the target are held by somebody outside", closed_ports.size());
  STOCKADE_TRY(send_message(channel_.get(), encode(closed_ports)));
  STOCKADE_ASSIGN(Message message, next_message(channel_.get()));
  STOCKADE_ASSIGN(net::Takeover taken, net::Takeover::from_descriptors(std::move(message.fds)));
  WireReader in(std::string_view(message.bytes).substr(1));
  taken.connections_cut = in.get<uint32_t>();
  // Its copies of the descriptors end with it.
  STOCKADE_TRY(process_.wait());
  return taken;
}

}  // namespace stockade::supervisor
