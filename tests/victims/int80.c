/* Enters the kernel by its 32-bit door, where call numbers mean something else. */
#define _GNU_SOURCE
#include "victim.h"

#include <sys/wait.h>

int main(void) {
#if defined(__x86_64__)
  const pid_t child = fork();
  if (child == 0) {
    long result = 20; /* getpid there */
    __asm__ volatile("int $0x80" : "+a"(result) : : "memory");
    _exit(result > 0 ? 7 : 8);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 7 ? broken("a 32-bit call was answered") : held("SIGSYS");
#else
  return held("no such door");
#endif
}
