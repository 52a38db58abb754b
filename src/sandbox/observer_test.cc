// The observer against a real kernel, as root and as an ordinary user: which sockets a program inside reaches, and what
// an attacker who changes the address under our eyes gets.
#include "sandbox/observer.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <chrono>

#include "sandbox/engine_fixture.h"
#include "sandbox/mask_keeper.h"

namespace stockade::sandbox {
namespace {

using testing::kOrdinaryUser;
using testing::Outcome;
using testing::TempTree;

constexpr uid_t kBoth[] = {0, kOrdinaryUser};

// A server outside that only listens: who connects stays in its queue.
class HostServer {
 public:
  HostServer(const std::string& path, int type) : fd_(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    path.copy(name.sun_path, sizeof(name.sun_path) - 1);
    works_ = ::bind(fd_.get(), reinterpret_cast<sockaddr*>(&name), sizeof(name)) == 0 &&
             ::chmod(path.c_str(), 0777) == 0 && (type == SOCK_DGRAM || ::listen(fd_.get(), 64) == 0);
  }
  bool works() const { return works_; }
  bool was_reached() const {
    char byte;
    return ::accept(fd_.get(), nullptr, nullptr) >= 0 || ::recv(fd_.get(), &byte, 1, MSG_DONTWAIT) >= 0;
  }

 private:
  Fd fd_;
  bool works_ = false;
};

SandboxPlan python_plan(const TempTree& tree, const std::string& script) {
  SandboxPlan plan = testing::shell_plan("");
  plan.command = {"python3", "-c", script};
  plan.notify_sockets = true;
  plan.workdir = "/w";
  plan.mounts.push_back(
      {.kind = MountKind::bind, .source = tree.path(), .target = "/w", .writable = true, .persons_tree = true});
  plan.limits.pids->value = 256;
  return plan;
}

// Runs the plan with an observer; each notice appears in the output as "notice PATH".
Outcome run_observed(const SandboxPlan& plan, uid_t uid) {
  std::string notices;
  const auto pipe = make_pipe();
  auto during = [&](NativeSandbox& sandbox) {
    auto observer = Observer::start(plan, sandbox.handles());
    if (!observer) {
      (void)write_all(pipe->write.get(), "failed " + observer.error().render() + "\n");
      (void)sandbox.kill();
      return;
    }
    while (true) {
      pollfd watched[2] = {{observer->fd(), POLLIN, 0}, {sandbox.status_fd(), POLLIN, 0}};
      if (::poll(watched, 2, 120'000) <= 0) (void)sandbox.kill();
      if (watched[0].revents) {
        auto notice = observer->receive();
        if (!notice) {
          (void)sandbox.kill();
          return;
        }
        if (*notice && observer->acknowledge()) {
          const std::string line = "notice " + (*notice)->path + "\n";
          if (notices.size() < 8192) (void)write_all(pipe->write.get(), line), notices += line;
        }
      }
      if (watched[1].revents) return;
    }
  };
  Outcome outcome = testing::run_plan(plan, uid, during);
  pollfd any{pipe->read.get(), POLLIN, 0};
  char buffer[16384];
  while (::poll(&any, 1, 0) > 0 && (any.revents & POLLIN)) {
    const ssize_t count = ::read(pipe->read.get(), buffer, sizeof(buffer));
    if (count <= 0) break;
    outcome.output.append(buffer, static_cast<size_t>(count));
  }
  return outcome;
}

const std::string kTry = R"(
import socket, os, errno, sys
def attempt(path, kind=socket.SOCK_STREAM):
    try:
        s = socket.socket(socket.AF_UNIX, kind)
        s.connect(path)
        return 'CONNECTED'
    except OSError as e:
        return errno.errorcode[e.errno]
)";

bool has(const Outcome& outcome, const std::string& text) { return outcome.output.find(text) != std::string::npos; }

TEST(Observer, LetsNoSocketOfTheHostBeReachedByAnyName) {
  for (const uid_t uid : kBoth) {
    TempTree tree(uid);
    tree.directory("sub");
    const HostServer stream(tree.path() + "/stream", SOCK_STREAM), packets(tree.path() + "/packets", SOCK_SEQPACKET);
    const HostServer datagrams(tree.path() + "/datagrams", SOCK_DGRAM);
    ASSERT_TRUE(stream.works() && packets.works() && datagrams.works());
    const Outcome outcome = run_observed(python_plan(tree, kTry + R"(
print('absolute', attempt('/w/stream'))
print('packets', attempt('/w/packets', socket.SOCK_SEQPACKET))
print('relative', attempt('stream'))
os.chdir('/w/sub'); print('parent', attempt('../stream')); os.chdir('/w')
os.symlink('/w/stream', '/tmp/link'); print('symlink', attempt('/tmp/link'))
print('root', attempt('/proc/self/root/w/stream'), attempt('/proc/thread-self/cwd/stream'))
d = os.open('/w', os.O_RDONLY); print('descriptor', attempt('/proc/self/fd/%d/stream' % d), attempt('/dev/fd/%d/stream' % d))
try:
    os.link('/w/stream', '/w/hard'); print('hard', attempt('/w/hard'))
except OSError as e: print('hard EACCES', e)
os.rename('/w/stream', '/w/renamed'); print('renamed', attempt('/w/renamed'))
print('datagrams', attempt('/w/datagrams', socket.SOCK_DGRAM))
print('missing', attempt('/w/nothing'))
open('/w/file','w'); print('file', attempt('/w/file'))
)"),
                                         uid);
    for (const char* line :
         {"absolute EACCES", "packets EACCES", "relative EACCES", "parent EACCES", "symlink EACCES",
          "root EACCES EACCES", "descriptor EACCES EACCES", "hard EACCES", "renamed EACCES", "datagrams EPERM",
          "missing ENOENT", "file ECONNREFUSED", "notice /w/stream\n", "notice ../stream\n"}) {
      EXPECT_TRUE(has(outcome, line)) << uid << ": " << line << "\n" << outcome.output << outcome.error;
    }
    EXPECT_FALSE(stream.was_reached() || packets.was_reached() || datagrams.was_reached());
  }
}

TEST(Observer, LetsProgramsInsideTalkToEachOther) {
  for (const uid_t uid : kBoth) {
    TempTree tree(uid);
    const Outcome outcome = run_observed(python_plan(tree, kTry + R"(
import asyncio, struct, subprocess, threading, time
async def main():
    async def echo(r, w):
        w.write(await r.readline()); await w.drain(); w.close()
    for path in ('/w/mine', '/tmp/mine', '\0abstract'):
        server = await asyncio.start_unix_server(echo, path)
        r, w = await asyncio.open_unix_connection(path)
        w.write(b'hello\n'); print('unix', repr(path), await r.readline())
    server = await asyncio.start_server(echo, '127.0.0.1', 4000)
    r, w = await asyncio.open_connection('127.0.0.1', 4000)
    w.write(b'hello\n'); print('tcp', await r.readline())
asyncio.run(main())
s = socket.socket(socket.AF_UNIX); s.bind('/w/peer'); s.listen(5)
c = socket.socket(socket.AF_UNIX); c.connect('/w/peer'); a, _ = s.accept()
print('peer', struct.unpack('3i', a.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1] == os.getuid())
print('refused', attempt('/w/mine'))
try: socket.create_connection(('127.0.0.1', 9)); print('open')
except OSError as e: print('closed', errno.errorcode[e.errno])
# Connects that block must not stop others: a full queue, then one more connect elsewhere.
full = socket.socket(socket.AF_UNIX); full.bind('/w/full'); full.listen(0)
def block():
    try: x = socket.socket(socket.AF_UNIX); x.connect('/w/full')
    except OSError: pass
for _ in range(8): threading.Thread(target=block, daemon=True).start()
c = socket.socket(socket.AF_UNIX); c.connect('/w/peer'); print('not stalled')
if os.path.exists('/usr/bin/tmux'):
    p = subprocess.run('TERM=xterm LC_ALL=C.UTF-8 tmux -S /w/tmux new-session -d "sleep 60" && tmux -S /w/tmux ls', shell=True, capture_output=True)
    print('tmux', p.returncode, p.stdout, p.stderr)
else: print('tmux 0')
sys.stdout.flush(); os._exit(0)
)"),
                                         uid);
    for (const char* line : {"unix '/w/mine' b'hello", "unix '/tmp/mine' b'hello", "abstract' b'hello", "tcp b'hello",
                             "peer True", "refused ECONNREFUSED", "closed ECONNREFUSED", "not stalled", "tmux 0"}) {
      EXPECT_TRUE(has(outcome, line)) << uid << ": " << line << "\n" << outcome.output << outcome.error;
    }
    EXPECT_FALSE(has(outcome, "notice")) << outcome.output;
  }
}

TEST(Observer, WaitsNoLongerThanItsCallerLives) {
  for (const uid_t uid : kBoth) {
    TempTree tree(uid);
    const Outcome outcome = run_observed(python_plan(tree, kTry + R"(
import signal, time
full = socket.socket(socket.AF_UNIX); full.bind('/w/full'); full.listen(0)
free = socket.socket(socket.AF_UNIX); free.bind('/w/free'); free.listen(99)
children = []
for _ in range(60):
    pid = os.fork()
    if pid == 0: attempt('/w/full'); os._exit(0)
    children.append(pid)
time.sleep(0.2)
for pid in children: os.kill(pid, signal.SIGKILL)
for pid in children: os.waitpid(pid, 0)
print('free', attempt('/w/free'))
def ring(*_): raise InterruptedError()
signal.signal(signal.SIGALRM, ring); signal.setitimer(signal.ITIMER_REAL, 0.05)
try: s = socket.socket(socket.AF_UNIX); s.connect('/w/full'); s = socket.socket(socket.AF_UNIX); s.connect('/w/full'); print('no')
except InterruptedError: print('interrupted')
)"),
                                         uid);
    EXPECT_TRUE(has(outcome, "free CONNECTED")) << uid << ": " << outcome.output << outcome.error;
    EXPECT_TRUE(has(outcome, "interrupted")) << uid << ": " << outcome.output << outcome.error;
  }
}

TEST(Observer, LetsThePlansOwnSocketsOut) {
  for (const uid_t uid : kBoth) {
    TempTree tree(uid);
    const HostServer allowed(tree.path() + "/allowed", SOCK_STREAM), other(tree.path() + "/other", SOCK_STREAM);
    SandboxPlan plan =
        python_plan(tree, kTry + "print('allowed', attempt('/w/allowed')); print('other', attempt('/w/other'))");
    plan.mounts.back().sockets = {"allowed"};
    const Outcome outcome = run_observed(plan, uid);
    EXPECT_TRUE(has(outcome, "allowed CONNECTED")) << outcome.output << outcome.error;
    EXPECT_TRUE(has(outcome, "other EACCES")) << outcome.output << outcome.error;
    EXPECT_TRUE(allowed.was_reached());
    EXPECT_FALSE(other.was_reached());
  }
}

TEST(Observer, ConnectsWhatItJudgedWhateverChangesMeanwhile) {
  for (const uid_t uid : kBoth) {
    TempTree tree(uid);
    const HostServer host(tree.path() + "/out", SOCK_STREAM);
    const Outcome outcome = run_observed(python_plan(tree, kTry + R"(
import ctypes, mmap, struct, threading, signal, time
server = socket.socket(socket.AF_UNIX); server.bind('/w/in_'); server.listen(100)
children = []
def child(body):
    pid = os.fork()
    if pid == 0:
        try: body()
        finally: os._exit(0)
    children.append(pid)
def accept():
    while True: server.accept()[0].close()
child(accept)
shared = mmap.mmap(-1, 4096)
good, bad = (struct.pack('H', 1) + p for p in (b'/w/in_\0', b'/w/out\0'))
shared[:9] = good
def flip():
    while True: shared[:9] = bad; shared[:9] = good
child(flip)
os.symlink('/w/in_', '/w/link')
def relink():
    while True:
        for target in ('/w/out', '/w/in_'):
            os.symlink(target, '/w/new'); os.rename('/w/new', '/w/link')
child(relink)
libc = ctypes.CDLL(None, use_errno=True)
address = ctypes.addressof(ctypes.c_char.from_buffer(shared))
link = struct.pack('H', 1) + b'/w/link\0'
tcp = socket.socket(); pool = [socket.socket(socket.AF_UNIX) for _ in range(2)]
results = {}
begin = time.time()
for i in range(20000):
    s = socket.socket(socket.AF_UNIX)
    if i % 64 == 0:
        t = threading.Thread(target=lambda f=s.fileno(): [os.dup2(pool[k % 2].fileno(), f) for k in range(50)]); t.start()
    else: t = None
    r = libc.connect(s.fileno(), ctypes.c_void_p(address), 9) if i % 3 else libc.connect(s.fileno(), link, len(link))
    e = 0 if r == 0 else ctypes.get_errno()
    results[e] = results.get(e, 0) + 1
    if t: t.join()
    s.close()
print('results', results, 'seconds', time.time() - begin)
print('mixed', results.get(0, 0) > 0 and results.get(13, 0) > 0)
for pid in children: os.kill(pid, signal.SIGKILL)
)"),
                                         uid);
    EXPECT_TRUE(has(outcome, "mixed True")) << outcome.output.substr(0, 2000) << outcome.error;
    EXPECT_FALSE(host.was_reached()) << outcome.output.substr(0, 2000);
  }
}

// The keeper's side of a run: `outside` acts on the tree when the agent has said that it is up.
std::string run_kept(const SandboxPlan& plan, uid_t uid, const std::string& tree, const std::function<void()>& outside,
                     size_t expected) {
  const auto pipe = make_pipe();
  const Outcome outcome = testing::run_plan(plan, uid, [&](NativeSandbox& sandbox) {
    auto keeper = start_mask_keeper(plan, sandbox.handles());
    std::string lines = keeper ? "" : keeper.error().render();
    for (int i = 0; i < 10'000 && ::access((tree + "/up").c_str(), F_OK) != 0; ++i) ::usleep(1000);
    outside();
    for (size_t seen = 0; keeper && seen < expected;) {
      pollfd news{keeper->fd(), POLLIN, 0};
      if (::poll(&news, 1, 10'000) != 1) break;
      auto notice = keeper->receive();
      if (!notice || !*notice) break;
      lines += fmt::format("{} {}; ", static_cast<int>((*notice)->kind), (*notice)->path);
      (void)keeper->acknowledge();
      ++seen;
    }
    (void)write_all(pipe->write.get(), lines);
    Fd(::open((tree + "/go").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
    pollfd end{sandbox.status_fd(), POLLIN, 0};
    if (::poll(&end, 1, 20'000) != 1) (void)sandbox.kill();
  });
  char buffer[4096] = {};
  pollfd any{pipe->read.get(), POLLIN, 0};
  if (::poll(&any, 1, 0) == 1) (void)!::read(pipe->read.get(), buffer, sizeof(buffer) - 1);
  return outcome.output + outcome.error + buffer;
}

TEST(MaskKeeper, PutsBackWhatSomebodyOutsideReplaced) {
  for (const uid_t uid : kBoth) {
    TempTree tree(uid);
    tree.write(".env", "SECRET1");
    tree.write("deep/secrets/key", "SECRET1");
    tree.write(".git/hooks/pre-commit", "true");
    SandboxPlan plan = python_plan(tree, R"(
import os, time
def read(p):
    try: return open(p).read()
    except OSError as e: return e.strerror
def write(p):
    try: open(p, 'a').write('evil'); return 'WRITTEN'
    except OSError as e: return e.strerror
print('before', read('.env'), os.listdir('deep/secrets'), write('.git/hooks/new'))
open('up', 'w')
while not os.path.exists('go'): time.sleep(0.01)
print('after', repr(read('.env')), os.listdir('deep/secrets'), write('.git/hooks/new'))
)");
    plan.mounts.back().hidden = {".env", "deep/secrets"};
    plan.mounts.back().read_only = {".git/hooks"};
    ASSERT_TRUE(needs_mask_keeper(plan));
    const std::string said = run_kept(
        plan, uid, tree.path(),
        [&] {
          const std::string at = tree.path();
          tree.write(".env.new", "SECRET2");
          ::rename((at + "/.env.new").c_str(), (at + "/.env").c_str());
          // Whole directories on the way, exchanged.
          ::rename((at + "/deep").c_str(), (at + "/old").c_str());
          tree.write("deep/secrets/key", "SECRET2");
          ::rename((at + "/.git").c_str(), (at + "/old.git").c_str());
          tree.write(".git/hooks/pre-commit", "true");
        },
        3);
    EXPECT_NE(said.find("after '' [] Read-only file system"), std::string::npos) << uid << ": " << said;
    EXPECT_NE(said.find("1 /w/.env;"), std::string::npos) << said;
    EXPECT_NE(said.find("1 /w/deep/secrets;"), std::string::npos) << said;
    EXPECT_NE(said.find("1 /w/.git/hooks;"), std::string::npos) << said;
  }
}

TEST(MaskKeeper, PutsBackWhatWasReplacedBeforeItStarted) {
  for (const uid_t uid : kBoth) {
    TempTree tree(uid);
    tree.write(".env", "SECRET1");
    SandboxPlan plan = python_plan(tree, R"(
import os, time
while not os.path.exists('go'): time.sleep(0.01)
print('read', repr(open('.env').read()))
)");
    plan.mounts.back().hidden = {".env"};
    const Outcome outcome = testing::run_plan(plan, uid, [&](NativeSandbox& sandbox) {
      tree.write(".env.new", "SECRET2");
      ::rename((tree.path() + "/.env.new").c_str(), (tree.path() + "/.env").c_str());
      auto keeper = start_mask_keeper(plan, sandbox.handles());
      if (keeper) tree.write("go", "");
      pollfd end{sandbox.status_fd(), POLLIN, 0};
      if (!keeper || ::poll(&end, 1, 20'000) != 1) (void)sandbox.kill();
    });
    EXPECT_NE(outcome.output.find("read ''"), std::string::npos) << uid << ": " << outcome.output << outcome.error;
  }
}

TEST(Observer, IsReportedWhenItDies) {
  for (const uid_t uid : kBoth) {
    TempTree tree(uid);
    const SandboxPlan plan = python_plan(tree, "import time; print('up', flush=True); time.sleep(600)");
    bool noticed = false;
    const Outcome outcome = testing::run_plan(plan, uid, [&](NativeSandbox& sandbox) {
      auto observer = Observer::start(plan, sandbox.handles());
      if (observer) {
        ::kill(observer->pid(), SIGKILL);
        pollfd end{observer->pidfd(), POLLIN, 0};
        noticed = ::poll(&end, 1, 10'000) == 1 && !observer->receive();
      }
      // What the supervisor does then.
      if (noticed)
        (void)sandbox.kill();
      else
        (void)sandbox.signal_agent(SIGTERM);
    });
    EXPECT_EQ(outcome.code, -2) << outcome.error;
  }
}

TEST(Observer, EndsWithItsSupervisor) {
  const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  for (const uid_t uid : kBoth) {
    TempTree tree(uid);
    EXPECT_TRUE(testing::as_user(uid, [&] {
      const SandboxPlan plan = python_plan(tree, "import time; time.sleep(600)");
      auto sandbox = NativeSandbox::launch(
          plan, {.run_id = fmt::format("test-observer-{}", ::getpid()), .stdio = {null.get(), null.get(), null.get()}});
      if (!sandbox) return false;
      auto observer = Observer::start(plan, sandbox->handles());
      if (!observer) return false;
      // Its end of the socket is what it lives by.
      const int copy = ::fcntl(observer->pidfd(), F_DUPFD_CLOEXEC, 3);
      ::shutdown(observer->fd(), SHUT_RDWR);
      pollfd end{copy, POLLIN, 0};
      return ::poll(&end, 1, 10'000) == 1;
    }));
  }
}

TEST(ObserverProtocol, RefusesWhatIsNoNotice) {
  const ObserverNotice notice{NoticeKind::socket, "/w/docker.sock", "why"};
  const std::string bytes = encode_notice(notice);
  auto back = decode_notice(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, notice);
  for (size_t size = 0; size < bytes.size(); ++size) EXPECT_FALSE(decode_notice(bytes.substr(0, size)));
  EXPECT_FALSE(decode_notice(bytes + "x"));
}

}  // namespace
}  // namespace stockade::sandbox
