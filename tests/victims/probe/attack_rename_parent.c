/* rename_parent DIRECTORY NEW FILE: reaches a hidden file by another name of its parent. */
#include "victim.h"

int main(int count, char** values) {
  if (count < 4) return broken("no paths");
  if (rename(values[1], values[2]) != 0) return held(error_name());
  char path[4096], byte;
  snprintf(path, sizeof(path), "%s/%s", values[2], values[3]);
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  const long got = file < 0 ? -1 : read(file, &byte, 1);
  rename(values[2], values[1]);
  return got == 1 ? broken(path) : held("renamed, and still hidden");
}
