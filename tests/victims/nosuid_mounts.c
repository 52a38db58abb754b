/* Finds a mount where setuid files count, or one that shares its changes with the host. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  FILE* table = fopen("/proc/self/mountinfo", "r");
  if (!table) return held("no table");
  char line[8192];
  while (fgets(line, sizeof(line), table)) {
    char* rest = strstr(line, " - ");
    if (rest) *rest = 0;
    if (!strstr(line, "nosuid")) return broken("a mount without nosuid");
    if (strstr(line, " shared:") || strstr(line, " master:")) return broken("a mount that propagates");
  }
  return held("nosuid and private everywhere");
}
