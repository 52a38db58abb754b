/* Presses the host's emergency key. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge_open("/proc/sysrq-trigger", O_WRONLY);
}
