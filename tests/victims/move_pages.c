/* Moves memory between nodes; here only asks where a page is. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  static char page[4096];
  void* pages[1] = {page};
  int status[1] = {0};
  page[0] = 1;
  return judge(syscall(SYS_move_pages, 0, 1L, pages, NULL, status, 0));
}
