/* Names the program that the kernel runs to load a module. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge_open("/proc/sys/kernel/modprobe", O_WRONLY);
}
