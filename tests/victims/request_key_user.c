/* Makes the kernel start a program to answer. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge_refused(syscall(SYS_request_key, "user", "stockade-victim-absent", 0, 0));
}
