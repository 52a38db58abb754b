/* Walks through the root of the process that holds the walls. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge_open("/proc/1/root/", O_RDONLY | O_DIRECTORY);
}
