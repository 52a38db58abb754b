/* Enters by the x32 numbers, which a filter that compares plain numbers misses (CVE-2014-0038). */
#define _GNU_SOURCE
#include "victim.h"

#include <sys/wait.h>

int main(void) {
#if defined(__x86_64__)
  const pid_t child = fork();
  if (child == 0) _exit(syscall(0x40000000L | SYS_getpid) > 0 ? 7 : 8);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 7 ? broken("an x32 call was answered") : held("not answered");
#else
  return held("no such door");
#endif
}
