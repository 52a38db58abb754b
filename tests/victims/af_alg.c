/* The kernel's crypto by socket: writes the page cache of files that are read-only (CVE-2026-31431). */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge(socket(38 /* AF_ALG */, SOCK_SEQPACKET, 0));
}
