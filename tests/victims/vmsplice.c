/* Gives its pages to a pipe (the road to Dirty Pipe). */
#define _GNU_SOURCE
#include "victim.h"

#include <sys/uio.h>

int main(void) {
  int ends[2];
  struct iovec bytes = {"x", 1};
  if (pipe(ends) != 0) return broken("no pipe");
  return judge(vmsplice(ends[1], &bytes, 1, 0));
}
