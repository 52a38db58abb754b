/* Leaves a setuid file, by the newest of the calls. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  char path[] = "/tmp/stockade-victim-XXXXXX";
  const int file = mkstemp(path);
  if (file < 0) return broken("no file to try it on");
  const long result = syscall(452, AT_FDCWD, path, 04755, 0);
  const int saved = errno;
  unlink(path);
  errno = saved;
  return judge(result);
}
