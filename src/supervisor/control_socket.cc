#include "supervisor/control_socket.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <nlohmann/json.hpp>

namespace stockade::supervisor {

using nlohmann::json;

namespace {

constexpr size_t kLineLimit = 64 * 1024;
constexpr size_t kPeerLimit = 32;
constexpr std::string_view kNotFromHere =
    "refused: the run's own user or root, outside of every sandbox, may speak to its supervisor";
constexpr auto kPatience = std::chrono::seconds(10);

// Socket paths are short (108 bytes): a longer one is reached through its directory's descriptor.
Result<std::pair<sockaddr_un, Fd>> socket_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() < sizeof(address.sun_path)) {
    path.copy(address.sun_path, path.size());
    return std::pair(address, Fd());
  }
  const auto slash = path.rfind('/');
  STOCKADE_ASSIGN(auto directory, open_at(AT_FDCWD, path.substr(0, slash), O_PATH | O_DIRECTORY));
  const std::string through = fmt::format("/proc/self/fd/{}{}", directory.get(), path.substr(slash));
  through.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return std::pair(address, std::move(directory));
}

// The pid namespace of a process, as the number in /proc/PID/ns/pid; 0 when it can't be told.
uint64_t pid_namespace(const std::string& process) {
  struct stat found;
  if (::stat(("/proc/" + process + "/ns/pid").c_str(), &found) < 0) return 0;
  return found.st_ino;
}

// The peer's process itself (Linux 6.5): its number can't be another's meanwhile. Without it the number is trusted for the
// moment between its connect and our look.
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
bool has_ended(int peer) {
  int descriptor = -1;
  socklen_t size = sizeof(descriptor);
  if (::getsockopt(peer, SOL_SOCKET, SO_PEERPIDFD, &descriptor, &size) < 0) return errno == ESRCH;
  const Fd process(descriptor);
  pollfd ended{process.get(), POLLIN, 0};
  return ::poll(&ended, 1, 0) != 0;
}

// Empty: the peer may not speak to us.
std::string admit(int peer) {
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (::getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0) return "";
  if (credentials.uid != ::geteuid() && credentials.uid != 0) return "";
  // A peer of another pid namespace that is no descendant of ours shows pid 0.
  if (credentials.pid <= 0) return "";
  const uint64_t ours = pid_namespace("self");
  if (ours == 0 || pid_namespace(std::to_string(credentials.pid)) != ours) return "";
  if (has_ended(peer)) return "";
  return fmt::format("uid {} pid {}", credentials.uid, credentials.pid);
}

int rpc_code(ErrorKind kind) {
  return kind == ErrorKind::invalid_input ? -32602 : kind == ErrorKind::protocol ? -32601 : -32000;
}

std::string answer_to(const json& id, const Result<std::string>& result) {
  json answer{{"jsonrpc", "2.0"}, {"id", id}};
  if (result) {
    answer["result"] = json::parse(*result, nullptr, false);
  } else {
    answer["error"] = {{"code", rpc_code(result.error().kind())}, {"message", result.error().render()}};
  }
  return answer.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

std::string handle_line(ControlHandler& handler, const std::string& line, const std::string& who) {
  const json request = json::parse(line, nullptr, false);
  if (!request.is_object() || request.value("jsonrpc", json()) != "2.0" || !request.value("method", json()).is_string())
    return answer_to(nullptr, fail(ErrorKind::protocol, "not a JSON-RPC 2.0 request"));
  const json id = request.value("id", json());
  const std::string method = request["method"];
  const json params = request.value("params", json::object());
  std::string reason;
  if (params.is_object() && params.contains("reason") && params["reason"].is_string()) reason = params["reason"];
  if (method == "status") return answer_to(id, handler.control_status());
  if (method == "pause") return answer_to(id, handler.control_pause(who));
  if (method == "resume") return answer_to(id, handler.control_resume(who));
  if (method == "kill") return answer_to(id, handler.control_kill(who, reason));
  if (method == "approvals") return answer_to(id, handler.control_approvals());
  if (method == "approve" || method == "deny") {
    // One event, by its number: there is no way to say yes to several.
    if (!params.is_object() || !params.value("event", json()).is_number_unsigned())
      return answer_to(id, fail(ErrorKind::invalid_input, "{} needs the number of one event", method));
    return answer_to(id, handler.control_decide(who, params["event"], method == "approve", reason));
  }
  return answer_to(id, fail(ErrorKind::protocol, "there is no method {}", method));
}

}  // namespace

ControlServer::ControlServer(loop::Loop& loop, loop::AsyncFd listener, ControlHandler& handler)
    : loop_(loop), listener_(std::move(listener)), handler_(handler) {}

ControlServer::~ControlServer() {
  for (const auto task : tasks_) loop_.cancel(task);
}

Result<std::unique_ptr<ControlServer>> ControlServer::create(loop::Loop& loop, const std::string& path,
                                                             ControlHandler& handler) {
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno("make the control socket");
  STOCKADE_ASSIGN(auto address, socket_address(path));
  const mode_t before = ::umask(0177);
  const int bound = ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address.first), sizeof(sockaddr_un));
  const int error = errno;
  ::umask(before);
  errno = error;
  if (bound < 0 || ::listen(socket.get(), 16) < 0) return fail_errno("bind the control socket {}", path);
  STOCKADE_ASSIGN(auto listener, loop::AsyncFd::adopt(loop, std::move(socket)));
  std::unique_ptr<ControlServer> server(new ControlServer(loop, std::move(listener), handler));
  server->tasks_.push_back(loop.spawn(server->accept_peers()));
  return server;
}

loop::Task<void> ControlServer::accept_peers() {
  while (true) {
    auto peer = co_await loop::accept_one(listener_);
    if (!peer) co_return;
    std::string who = admit(peer->get());
    if (who.empty()) {
      const std::string answer = answer_to(nullptr, fail(ErrorKind::denied, "{}", kNotFromHere));
      (void)::send(peer->get(), answer.data(), answer.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      continue;
    }
    if (peers_ >= kPeerLimit) continue;
    auto async = loop::AsyncFd::adopt(loop_, std::move(*peer));
    if (async) tasks_.push_back(loop_.spawn(serve(std::move(*async), std::move(who))));
  }
}

loop::Task<void> ControlServer::serve(loop::AsyncFd peer, std::string who) {
  ++peers_;
  std::string pending;
  std::array<char, 4096> buffer;
  while (pending.size() <= kLineLimit) {
    auto count = co_await loop::read_some(peer, buffer.data(), buffer.size(), loop_.now() + kPatience);
    if (!count || *count == 0) break;
    pending.append(buffer.data(), *count);
    for (size_t end; (end = pending.find('\n')) != std::string::npos; pending.erase(0, end + 1)) {
      const std::string answer = handle_line(handler_, pending.substr(0, end), who);
      auto written = co_await loop::write_fully(peer, answer, loop_.now() + kPatience);
      if (!written) break;
    }
  }
  --peers_;
}

Result<std::string> control_request(const std::string& socket_path, const ControlRequest& asked,
                                    std::chrono::milliseconds timeout) {
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno("make a socket");
  STOCKADE_ASSIGN(auto address, socket_address(socket_path));
  // A run that is just starting listens in a moment: the kill switch must not miss it.
  constexpr int kAttempts = 200;
  constexpr int kBetweenMs = 5;
  for (int attempt = 1; ::connect(socket.get(), reinterpret_cast<sockaddr*>(&address.first), sizeof(sockaddr_un)) < 0;
       ++attempt) {
    if ((errno != ENOENT && errno != ECONNREFUSED) || attempt == kAttempts)
      return fail_errno("reach the run's supervisor");
    ::poll(nullptr, 0, kBetweenMs);
  }
  json request{{"jsonrpc", "2.0"}, {"id", 1}, {"method", asked.method}, {"params", json::object()}};
  if (!asked.reason.empty()) request["params"]["reason"] = asked.reason;
  if (asked.event) request["params"]["event"] = *asked.event;
  const auto written = write_all(socket.get(), request.dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
  // A supervisor that refuses to hear us has said why before it hung up.
  if (!written && written.error().error_number() != EPIPE) return std::unexpected(written.error());
  std::string line;
  std::array<char, 4096> buffer;
  while (line.find('\n') == std::string::npos) {
    pollfd waiting{socket.get(), POLLIN, 0};
    if (::poll(&waiting, 1, static_cast<int>(timeout.count())) == 0)
      return fail(ErrorKind::unavailable, "the supervisor did not answer within {} ms", timeout.count());
    const ssize_t count = ::read(socket.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return fail(ErrorKind::unavailable, "the supervisor hung up before it answered");
    line.append(buffer.data(), static_cast<size_t>(count));
  }
  const json answer = json::parse(line, nullptr, false);
  if (answer.is_object() && answer.contains("result")) return answer["result"].dump();
  if (answer.is_object() && answer.contains("error") && answer["error"].value("message", json()).is_string())
    return std::unexpected(Error(ErrorKind::denied, answer["error"]["message"]));
  return fail(ErrorKind::protocol, "the supervisor's answer is not JSON-RPC");
}

}  // namespace stockade::supervisor
