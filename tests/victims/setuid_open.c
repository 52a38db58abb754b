/* Opens a file that is born setuid. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  char path[] = "/tmp/stockade-victim-XXXXXX";
  const int file = mkstemp(path);
  if (file < 0) return broken("no file to try it on");
  unlink(path);
  const int born = open(path, O_CREAT | O_EXCL | O_WRONLY, 04755);
  const int saved = errno;
  unlink(path);
  errno = saved;
  return judge(born);
}
