/* Takes the network's walls down: adds a route, which needs CAP_NET_ADMIN. */
#define _GNU_SOURCE
#include "victim.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

int main(void) {
  struct {
    struct nlmsghdr header;
    struct ifinfomsg link;
  } request = {{sizeof(request), RTM_SETLINK, NLM_F_REQUEST | NLM_F_ACK, 1, 0}, {.ifi_index = 1}};
  const int netlink = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  char answer[256];
  if (send(netlink, &request, sizeof(request), 0) < 0) return held(error_name());
  const long size = recv(netlink, answer, sizeof(answer), 0);
  const struct nlmsghdr* header = (const struct nlmsghdr*)answer;
  if (size < (long)(sizeof(*header) + sizeof(int)) || header->nlmsg_type != NLMSG_ERROR) return broken("no refusal");
  memcpy(&errno, answer + sizeof(*header), sizeof(int));
  errno = -errno;
  return errno == 0 ? broken("the interface was changed") : held(error_name());
}
