/* The same with garbage in the upper half of the request, which the kernel ignores (CVE-2019-10063). */
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
  return judge(syscall(SYS_ioctl, slave, 0xdeadbeef00000000UL | TIOCSTI, " "));
}
