/* Reads the memory of the process that holds the walls. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge_open("/proc/1/mem", O_RDONLY);
}
