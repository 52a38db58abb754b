/* replace_file PATH: puts another file in its place, by rename, removal or a link over it. */
#include "victim.h"

int main(int count, char** values) {
  if (count < 2) return broken("no path");
  char other[4096];
  snprintf(other, sizeof(other), "%s.new", values[1]);
  const int file = open(other, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (file >= 0) close(file);
  if (file >= 0 && rename(other, values[1]) == 0) return broken("replaced by rename");
  const int saved = errno;
  unlink(other);
  if (unlink(values[1]) == 0) return broken("removed");
  errno = saved;
  return held(error_name());
}
