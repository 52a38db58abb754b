/* Speaks to nf_tables (CVE-2024-1086). */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge(socket(AF_NETLINK, SOCK_RAW, 12));
}
