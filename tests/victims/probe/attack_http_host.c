/* http_host NAME PORT HOST: connects to a name that is allowed and asks for another one (domain fronting). */
#include "outside.h"

int main(int count, char** values) {
  if (count < 4) return broken("no name");
  const int peer = connect_to_name(values[1], values[2]);
  if (peer < 0) return held(error_name());
  char request[512];
  snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", values[3]);
  return judge_outside(peer, request);
}
