/* Asks a console for its selection buffer's services (CVE-2023-28100). Not a console: the kernel says ENOTTY. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  const int terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY);
  char subcode = 6; /* read the shift state: harmless */
  return judge_refused(ioctl(terminal, TIOCLINUX, &subcode));
}
