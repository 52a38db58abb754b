/* Takes over the process that holds the walls. */
#define _GNU_SOURCE
#include "victim.h"

#include <sys/ptrace.h>

int main(void) {
  const long result = ptrace(PTRACE_SEIZE, 1, 0, 0);
  if (result == 0) ptrace(PTRACE_DETACH, 1, 0, 0);
  return judge(result);
}
