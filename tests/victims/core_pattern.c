/* Names the program that the kernel runs at a crash (CVE-2022-0811). */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge_open("/proc/sys/kernel/core_pattern", O_WRONLY);
}
