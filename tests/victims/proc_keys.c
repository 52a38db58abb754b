/* Reads the names of others' keys. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge_read("/proc/keys");
}
