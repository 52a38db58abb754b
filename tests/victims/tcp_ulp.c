/* Loads kernel TLS into a connection (a run of CVEs of its own). */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  const int connection = socket(AF_INET, SOCK_STREAM, 0);
  return judge_refused(setsockopt(connection, 6, 31, "tls", 4));
}
