/* Takes a lease on a shared file: the person's own open waits 45 s for it. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  char path[] = "/tmp/stockade-victim-XXXXXX";
  const int file = mkstemp(path);
  if (file < 0) return broken("no file to try it on");
  close(file);
  const int reader = open(path, O_RDONLY);
  const int result = fcntl(reader, F_SETLEASE, F_RDLCK);
  const int saved = errno;
  unlink(path);
  errno = saved;
  return judge(result);
}
