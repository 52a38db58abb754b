/* Loads another line discipline (CVE-2017-2636); N_TTY, the one that is there, to change nothing. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  const int terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY);
  const int discipline = 0;
  return judge(ioctl(terminal, TIOCSETD, &discipline));
}
