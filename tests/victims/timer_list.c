/* Reads the host's timers, with addresses. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge_read("/proc/timer_list");
}
