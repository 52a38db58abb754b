/* Asks for the session keyring, which no namespace separates. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge(syscall(SYS_keyctl, 0, -3, 0));
}
