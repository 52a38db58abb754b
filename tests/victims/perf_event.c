/* Counts what the processor does (CVE-2013-2094). */
#define _GNU_SOURCE
#include "victim.h"

#include <linux/perf_event.h>

int main(void) {
  struct perf_event_attr attribute = {.type = PERF_TYPE_SOFTWARE, .size = sizeof(attribute), .exclude_kernel = 1};
  return judge(syscall(SYS_perf_event_open, &attribute, 0, -1, -1, 0));
}
