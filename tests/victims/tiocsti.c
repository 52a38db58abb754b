/* Pushes a character into the terminal's input, as if the person had typed it (CVE-2017-5226). */
#define _GNU_SOURCE
#include "victim.h"

#include <termios.h>

int main(void) {
  const int terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY);
  int unlock = 0;
  ioctl(terminal, TIOCSPTLCK, &unlock);
  const int slave = ioctl(terminal, TIOCGPTPEER, O_RDWR);
  setsid();
  ioctl(slave, TIOCSCTTY, 0);
  return judge(ioctl(slave, TIOCSTI, " "));
}
