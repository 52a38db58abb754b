/* many_files LIMIT: holds more descriptors than that. */
#include "victim.h"

int main(int count, char** values) {
  const long limit = count > 1 ? atol(values[1]) : 0;
  for (long i = 0; i <= limit; ++i)
    if (dup(0) < 0) {
      printf("held: %s after %ld\n", error_name(), i);
      return 0;
    }
  return broken("more descriptors than the limit");
}
