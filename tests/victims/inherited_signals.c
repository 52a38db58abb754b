/* Was started with signals blocked or ignored. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  sigset_t blocked;
  sigprocmask(SIG_BLOCK, NULL, &blocked);
  for (int number = 1; number < 32; ++number) {
    struct sigaction action;
    if (number == SIGKILL || number == SIGSTOP || sigaction(number, NULL, &action) != 0) continue;
    if (action.sa_handler == SIG_IGN) return broken("a signal is ignored");
    if (sigismember(&blocked, number) == 1) return broken("a signal is blocked");
  }
  return held("all as at boot");
}
