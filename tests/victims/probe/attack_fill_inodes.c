/* fill_inodes DIRECTORY LIMIT: makes more files than that. */
#include "victim.h"

int main(int count, char** values) {
  if (count < 3) return broken("no directory");
  const long limit = atol(values[2]);
  const char* refusal = NULL;
  char path[4096];
  long made = 0;
  for (; made <= limit && !refusal; ++made) {
    snprintf(path, sizeof(path), "%s/inode-%ld", values[1], made);
    const int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) refusal = error_name();
    else close(file);
  }
  for (long i = 0; i < made; ++i) {
    snprintf(path, sizeof(path), "%s/inode-%ld", values[1], i);
    unlink(path);
  }
  if (!refusal) return broken("more files than the limit");
  printf("held: %s after %ld files\n", refusal, made - 1);
  return 0;
}
