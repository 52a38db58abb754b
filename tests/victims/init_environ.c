/* Reads what the process that holds the walls was started with. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge_read("/proc/1/environ");
}
