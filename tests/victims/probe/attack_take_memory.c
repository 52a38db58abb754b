/* take_memory BYTES: uses more than that, in four processes. The run is expected to end over it. */
#include "victim.h"

#include <sys/mman.h>
#include <sys/wait.h>

int main(int count, char** values) {
  const long long limit = count > 1 ? atoll(values[1]) : 0;
  const size_t share = (size_t)(limit / 4 + (32 << 20));
  for (int i = 0; i < 4; ++i) {
    if (fork() != 0) continue;
    char* memory = mmap(NULL, share, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) _exit(1);
    memset(memory, 1, share);
    pause();
  }
  /* All four stand: nobody stopped them for a while. */
  sleep(5);
  return broken("more memory than the limit");
}
