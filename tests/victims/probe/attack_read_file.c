/* read_file PATH…: reads what the policy doesn't show. */
#include "victim.h"

int main(int count, char** values) {
  for (int i = 1; i < count; ++i) {
    const int file = open(values[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char byte;
    if (file >= 0 && read(file, &byte, 1) == 1) return broken(values[i]);
    if (file >= 0) close(file);
  }
  return held(error_name());
}
