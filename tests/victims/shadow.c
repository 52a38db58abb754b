/* Reads the host's password hashes. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge_read("/etc/shadow");
}
