/* fill_disk DIRECTORY BYTES: writes more than that. fill_inodes: see attack_fill_inodes.c */
#include "victim.h"

#include <stdint.h>

int main(int count, char** values) {
  static char block[1 << 20];
  if (count < 3) return broken("no directory");
  const long long limit = atoll(values[2]);
  long long written = 0;
  signal(SIGXFSZ, SIG_IGN);
  char path[4096];
  const char* refusal = NULL;
  memset(block, 1, sizeof(block));
  snprintf(path, sizeof(path), "%s/fill", values[1]);
  const int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  while (!refusal && written <= limit) {
    const long got = write(file, block, sizeof(block));
    if (got < 0) refusal = error_name();
    else written += got;
  }
  unlink(path);
  if (!refusal) return broken("more bytes than the limit");
  printf("held: %s after %lld bytes\n", refusal, written);
  return 0;
}
