/* Makes 16-bit segments (CVE-2015-5157); here only reads the table. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
#if defined(__x86_64__)
  char table[64];
  return judge(syscall(SYS_modify_ldt, 0, table, sizeof(table)));
#else
  return held("no such table");
#endif
}
