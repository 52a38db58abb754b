/* Changes the machine's clock; here the tick that it has already. */
#define _GNU_SOURCE
#include "victim.h"

#include <sys/timex.h>

int main(void) {
  struct timex now = {.modes = 0};
  if (adjtimex(&now) < 0) return held(error_name());
  struct timex same = {.modes = ADJ_TICK, .tick = now.tick};
  return judge(adjtimex(&same));
}
