/* Makes a device node of its own: the memory of the machine. */
#define _GNU_SOURCE
#include "victim.h"

#include <sys/sysmacros.h>

int main(void) {
  char path[] = "/tmp/stockade-victim-XXXXXX";
  if (!mkdtemp(path)) return broken("no directory to try it in");
  char node[64];
  snprintf(node, sizeof(node), "%s/mem", path);
  const int result = mknod(node, S_IFCHR | 0600, makedev(1, 1));
  const int saved = errno;
  unlink(node);
  rmdir(path);
  errno = saved;
  return judge(result);
}
