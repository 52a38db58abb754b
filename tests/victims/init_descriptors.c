/* Lists what the process that holds the walls has open. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge_open("/proc/1/fd", O_RDONLY | O_DIRECTORY);
}
