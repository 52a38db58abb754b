#include "sandbox/namespace_maker.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>

#include "base/message_socket.h"
#include "base/wire.h"
#include "net/redirect_rules.h"
#include "sandbox/init.h"

namespace stockade::sandbox {

namespace {

using Network = NamespaceMaker::Network;

Result<void> make_namespace(int flag, const char* what) {
  if (::unshare(flag) == 0) return {};
  const int number = errno;
  Error error = Error::from_errno(fmt::format("make a {} namespace", what), number);
  if (number != EPERM && number != EACCES && number != ENOSPC) return std::unexpected(std::move(error));
  return std::unexpected(std::move(error)
                             .kind(ErrorKind::unavailable)
                             .hint(::geteuid() == 0
                                       ? "root without CAP_SYS_ADMIN here (a container?): run 'stockade doctor'"
                                       : "unprivileged user namespaces are switched off here: run 'stockade doctor'"));
}

Result<net::TransparentListeners> set_up_network(Network network) {
  if (network == Network::of_the_launcher) return net::TransparentListeners();
  STOCKADE_TRY(make_namespace(CLONE_NEWNET, "network"));
  if (network == Network::loopback_only) {
    STOCKADE_TRY(net::bring_up_loopback());
    return net::TransparentListeners();
  }
  STOCKADE_TRY(net::route_everything_to_loopback());
  STOCKADE_TRY(net::install_redirect_rules());
  return net::open_transparent_listeners(true);
}

Result<Fd> make_user_namespace() {
  STOCKADE_TRY(make_namespace(CLONE_NEWUSER, "user"));
  return open_at(AT_FDCWD, "/proc/self/ns/user", O_RDONLY);
}

Result<void> make_all(Network network, Mode mode, int channel) {
  Fd user_namespace;
  if (mode == Mode::user) {
    STOCKADE_ASSIGN(user_namespace, make_user_namespace());
    const int early[] = {user_namespace.get()};
    STOCKADE_TRY(send_message(channel, WireWriter().put(Report::namespaces).bytes(), early));
  }
  STOCKADE_ASSIGN(const net::TransparentListeners listeners, set_up_network(network));
  STOCKADE_ASSIGN(const Fd diag, net::open_socket_diag());
  STOCKADE_ASSIGN(const Fd network_namespace, open_at(AT_FDCWD, "/proc/self/ns/net", O_RDONLY));
  std::vector<int> fds = {network_namespace.get(), diag.get()};
  if (mode == Mode::root) {
    STOCKADE_ASSIGN(user_namespace, make_user_namespace());
    fds.insert(fds.begin(), user_namespace.get());
  }
  const std::vector<int> more = listeners.descriptors();
  fds.insert(fds.end(), more.begin(), more.end());
  return send_message(channel, WireWriter().put(Report::namespaces).bytes(), fds);
}

int run(Network network, Mode mode, int channel) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  close_all_except({channel});
  if (auto made = make_all(network, mode, channel); !made) {
    (void)send_message(channel, encode_failure(made.error()));
    return 1;
  }
  char none;
  (void)!::read(channel, &none, 1);
  return 0;
}

}  // namespace

Result<NamespaceMaker> NamespaceMaker::start(Network network) {
  STOCKADE_ASSIGN(auto channel, make_socket_pair(SOCK_SEQPACKET));
  const Mode mode = choose_mode();
  const int inner = channel[1].get();
  STOCKADE_ASSIGN(Pid process, fork_child([&] { return run(network, mode, inner); }));
  channel[1].reset();
  process.move_to_another_core();
  return NamespaceMaker(network, mode, std::move(channel[0]), std::move(process));
}

Result<Message> NamespaceMaker::take_message() {
  Message message;
  STOCKADE_ASSIGN(const ReceiveState state, receive_message(channel_.get(), message));
  if (state != ReceiveState::message || message.bytes.empty())
    return fail(ErrorKind::internal, "the process that makes namespaces ended without a word");
  if (message.bytes[0] == static_cast<char>(Report::failed))
    return std::unexpected(decode_failure(std::string_view(message.bytes).substr(1)));
  return message;
}

Result<Fd> NamespaceMaker::take_user_namespace() {
  STOCKADE_ASSIGN(Message message, take_message());
  if (message.fds.size() != 1) return fail(ErrorKind::internal, "the user namespace is missing");
  return std::move(message.fds[0]);
}

Result<MadeNamespaces> NamespaceMaker::take(bool explicit_proxy) {
  STOCKADE_ASSIGN(Message message, take_message());
  MadeNamespaces made;
  std::vector<Fd*> ours = {&made.network, &made.socket_diag};
  if (mode_ == Mode::root) ours.insert(ours.begin(), &made.user);
  if (message.fds.size() < ours.size()) return fail(ErrorKind::internal, "the namespaces are incomplete");
  for (size_t i = 0; i < ours.size(); ++i) *ours[i] = std::move(message.fds[i]);
  message.fds.erase(message.fds.begin(), message.fds.begin() + static_cast<ptrdiff_t>(ours.size()));
  if (network_ == Network::of_the_launcher) made.network.reset();
  if (network_ != Network::redirected) return made;
  STOCKADE_ASSIGN(made.listeners, net::TransparentListeners::from_descriptors(std::move(message.fds)));
  if (explicit_proxy) return made;
  made.listeners->proxy_http.reset();
  made.listeners->proxy_socks.reset();
  return made;
}

}  // namespace stockade::sandbox
