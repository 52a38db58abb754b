/* write_file PATH…: opens each for writing, or makes it. */
#include "victim.h"

int main(int count, char** values) {
  for (int i = 1; i < count; ++i)
    if (open(values[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0644) >= 0) return broken(values[i]);
  return held(error_name());
}
