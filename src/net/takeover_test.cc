// Taking over a namespace with a network, as root and as a person in a user namespace of theirs; what is left after.
#include "net/takeover.h"

#include <gtest/gtest.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <sys/wait.h>

#include <functional>

#include "base/pid.h"
#include "net/netlink.h"

namespace stockade::net {
namespace {

// Runs `body` in a child with a network namespace whose lo is up, and gives what it found wrong.
std::string in_network(bool as_user, const std::function<std::string(int network)>& body) {
  auto pipe = make_pipe();
  auto child = fork_child([&] {
    std::string why;
    if (as_user && ::geteuid() == 0 && (::setresgid(12345, 12345, 12345) != 0 || ::setresuid(12345, 12345, 12345) != 0))
      why = "setuid";
    if (why.empty() && ::unshare(CLONE_NEWNET | (::geteuid() == 0 ? 0 : CLONE_NEWUSER)) != 0) why = "unshare";
    if (why.empty() && !bring_up_loopback()) why = "lo";
    const Fd network(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (why.empty()) why = body(network.get());
    (void)!::write(pipe->write.get(), why.data(), why.size());
    return 0;
  });
  pipe->write.reset();
  auto text = read_file(pipe->read.get(), 4096);
  return text ? *text : text.error().message();
}

// The kind of route that a packet to `address` takes.
int route_type(const char* address) {
  auto socket = NetlinkSocket::open(NETLINK_ROUTE);
  NetlinkBatch request;
  request.begin(RTM_GETROUTE, NLM_F_REQUEST);
  const auto parsed = IpAddress::parse(address);
  rtmsg question{};
  question.rtm_family = parsed->is_v4() ? AF_INET : AF_INET6;
  question.rtm_dst_len = parsed->is_v4() ? 32 : 128;
  request.header(question);
  request.attribute(RTA_DST,
                    std::string_view(reinterpret_cast<const char*>(parsed->bytes().data()), parsed->is_v4() ? 4 : 16));
  request.finish();
  int type = -1;
  (void)netlink_query(socket->fd(), request, [&](uint16_t, std::string_view payload) {
    type = reinterpret_cast<const rtmsg*>(payload.data())->rtm_type;
  });
  return type;
}

std::string refused(const Result<void>& result) { return result ? "" : result.error().render(); }

class TakeOver : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(AsRootAndUser, TakeOver, ::testing::Bool(),
                         [](const auto& info) { return info.param ? std::string("user") : std::string("root"); });

TEST_P(TakeOver, LeadsEveryAddressToTheListenersAndGoesWithItsDescriptors) {
  EXPECT_EQ(in_network(GetParam(),
                       [](int network) -> std::string {
                         auto entered = enter_network(network);
                         if (!entered) return entered.error().render();
                         auto taken = take_over(std::move(*entered), {});
                         if (!taken) return taken.error().render();
                         for (const char* address : {"192.0.2.1", "10.1.2.3", "2a00::1"})
                           if (route_type(address) != RTN_LOCAL) return std::string(address) + " leads elsewhere";
                         if (auto second = install_owned_redirect_rules({}); second)
                           return "the tables could be made twice";
                         remove_anchor(*taken);
                         if (::if_nametoindex("stockade0") != 0) return "the link is still there";
                         if (route_type("192.0.2.1") == RTN_LOCAL) return "the route is still there";
                         taken->tables.reset();
                         return refused(install_redirect_rules());
                       }),
            "");
}

TEST_P(TakeOver, WithoutRemovingTheLinkIsOverWithItsDescriptorsAsWell) {
  EXPECT_EQ(in_network(GetParam(),
                       [](int network) -> std::string {
                         auto entered = enter_network(network);
                         if (!entered) return entered.error().render();
                         auto taken = take_over(std::move(*entered), {});
                         if (!taken) return taken.error().render();
                         *taken = {};
                         for (int i = 0; i < 5000 && ::if_nametoindex("stockade0") != 0; ++i) ::usleep(1000);
                         return ::if_nametoindex("stockade0") == 0 ? "" : "the link is still there";
                       }),
            "");
}

TEST(TakeOverRefusals, OfANamespaceWhoseLoIsDownIsRefusedAndChangesNothing) {
  EXPECT_EQ(in_network(false,
                       [](int) -> std::string {
                         if (::unshare(CLONE_NEWNET) != 0) return "unshare";
                         const Fd network(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
                         auto entered = enter_network(network.get());
                         if (!entered) return entered.error().render();
                         const auto taken = take_over(std::move(*entered), {});
                         if (taken) return "it was taken over";
                         if (taken.error().message().find("lo is down") == std::string::npos)
                           return taken.error().message();
                         return ::if_nametoindex("stockade0") == 0 ? "" : "a link was made";
                       }),
            "");
}

}  // namespace
}  // namespace stockade::net
