/* Leaves a key for others, and fills the person's quota. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge(syscall(SYS_add_key, "user", "stockade-victim", "x", 1, -1 /* thread keyring */));
}
