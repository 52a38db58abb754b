/* Leaves a setuid file in a directory that others see. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  char path[] = "/tmp/stockade-victim-XXXXXX";
  const int file = mkstemp(path);
  if (file < 0) return broken("no file to try it on");
  const int result = chmod(path, 04755);
  const int saved = errno;
  unlink(path);
  errno = saved;
  return judge(result);
}
