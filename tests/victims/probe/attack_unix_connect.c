/* unix_connect PATH…: talks to a socket of the host's in a mounted tree. A path that begins with @ is an abstract one. */
#include "victim.h"

#include <stddef.h>
#include <sys/un.h>

int main(int count, char** values) {
  for (int i = 1; i < count; ++i) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", values[i]);
    const size_t length = strlen(address.sun_path);
    if (address.sun_path[0] == '@') address.sun_path[0] = 0;
    const socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (address.sun_path[0] ? 1 : 0));
    if (connect(peer, (struct sockaddr*)&address, size) == 0) return broken(values[i]);
    close(peer);
  }
  return held(error_name());
}
