/* link_out OUTSIDE AT: reads a file of the host through a symbolic link and a hard link made inside. */
#include "victim.h"

int main(int count, char** values) {
  if (count < 3) return broken("no paths");
  char path[4096], byte;
  snprintf(path, sizeof(path), "%s/link-out", values[2]);
  if (symlink(values[1], path) == 0) {
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    const int saved = errno;
    unlink(path);
    if (file >= 0 && read(file, &byte, 1) == 1) return broken("through a symbolic link");
    errno = saved;
  }
  if (link(values[1], path) == 0) {
    unlink(path);
    return broken("a hard link to it");
  }
  return held(error_name());
}
