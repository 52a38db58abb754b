/* udp ADDRESS PORT: sends a packet and waits for the answer that only the outside gives. */
#include "outside.h"

int main(int count, char** values) {
  struct sockaddr_storage address;
  socklen_t size;
  if (count < 3 || parse_endpoint(values[1], values[2], &address, &size) != 0) return broken("no address");
  const int peer = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (connect(peer, (struct sockaddr*)&address, size) != 0) return held(error_name());
  return judge_outside(peer, "probe");
}
