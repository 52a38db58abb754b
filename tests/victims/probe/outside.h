/* What the network attacks share. The outside of a probe greets whatever reaches it with one word: who reads that word
 * has been there. */
#ifndef OUTSIDE_H
#define OUTSIDE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <netinet/in.h>

#include "victim.h"

static const char kWord[] = "stockade-probe-outside";

__attribute__((unused)) static void limit_wait(int peer, int milliseconds) {
  const struct timeval wait = {milliseconds / 1000, milliseconds % 1000 * 1000};
  setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
  setsockopt(peer, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
}

__attribute__((unused)) static int parse_endpoint(const char* text, const char* port, struct sockaddr_storage* address,
                                                  socklen_t* size) {
  struct sockaddr_in* v4 = (struct sockaddr_in*)address;
  struct sockaddr_in6* v6 = (struct sockaddr_in6*)address;
  memset(address, 0, sizeof(*address));
  if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons((uint16_t)atoi(port));
    *size = sizeof(*v4);
    return 0;
  }
  if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1) return -1;
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons((uint16_t)atoi(port));
  *size = sizeof(*v6);
  return 0;
}

__attribute__((unused)) static int connect_to(const char* text, const char* port) {
  struct sockaddr_storage address;
  socklen_t size;
  if (parse_endpoint(text, port, &address, &size) != 0) {
    errno = EINVAL;
    return -1;
  }
  const int peer = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (peer < 0) return -1;
  limit_wait(peer, 2000);
  if (connect(peer, (struct sockaddr*)&address, size) == 0) return peer;
  const int saved = errno;
  close(peer);
  errno = saved;
  return -1;
}

/* A's query by hand: a static program has no resolver of its own, and the name server is whoever answers. */
__attribute__((unused)) static int connect_to_name(const char* name, const char* port) {
  char query[512] = {0x12, 0x35, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}, reply[512], copy[256], text[64];
  size_t at = 12;
  snprintf(copy, sizeof(copy), "%s", name);
  for (char* label = strtok(copy, "."); label; label = strtok(NULL, ".")) {
    query[at++] = (char)strlen(label);
    memcpy(query + at, label, strlen(label));
    at += strlen(label);
  }
  const char tail[] = {0, 0, 1, 0, 1};
  memcpy(query + at, tail, sizeof(tail));
  at += sizeof(tail);
  struct sockaddr_storage server;
  socklen_t size;
  parse_endpoint("192.0.2.53", "53", &server, &size);
  const int peer = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  limit_wait(peer, 1000);
  long got = -1;
  if (connect(peer, (struct sockaddr*)&server, size) == 0 && send(peer, query, at, 0) > 0)
    got = recv(peer, reply, sizeof(reply), 0);
  close(peer);
  if (got < (long)at + 16 || reply[7] == 0) {
    errno = EHOSTUNREACH;
    return -1;
  }
  inet_ntop(AF_INET, reply + at + 12, text, sizeof(text));
  return connect_to(text, port);
}

__attribute__((unused)) static int judge_outside(int peer, const char* request) {
  char answer[512] = "";
  size_t used = 0;
  limit_wait(peer, 1500);
  if (send(peer, request, strlen(request), MSG_NOSIGNAL) < 0) return held(error_name());
  while (used < sizeof(answer) - 1) {
    const long got = recv(peer, answer + used, sizeof(answer) - 1 - used, 0);
    if (got <= 0) break;
    used += (size_t)got;
    if (memmem(answer, used, kWord, strlen(kWord))) return broken("reached the outside");
  }
  if (used == 0) return held(errno ? error_name() : "closed without a byte");
  for (size_t i = 0; i < used; ++i)
    if (answer[i] < ' ' || answer[i] > '~') answer[i] = 0;
  printf("held: answered by the firewall: %.60s\n", answer);
  return 0;
}

#endif
