/* fork_bomb LIMIT: starts more processes than that. */
#include "victim.h"

#include <sys/wait.h>

int main(int count, char** values) {
  const long limit = count > 1 ? atol(values[1]) : 0;
  for (long i = 0; i <= limit; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      pause();
      _exit(0);
    }
    if (child < 0) {
      printf("held: %s after %ld\n", error_name(), i);
      fflush(stdout);
      kill(0, SIGKILL);
    }
  }
  printf("broken: %ld processes\n", limit + 1);
  fflush(stdout);
  kill(0, SIGKILL);
  return 1;
}
