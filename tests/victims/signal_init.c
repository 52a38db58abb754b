/* Signals the process that holds the walls (0: only asks whether it may). */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge(kill(1, 0));
}
