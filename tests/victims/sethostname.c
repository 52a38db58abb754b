/* Renames the machine; to the name that it has. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  char name[256] = "";
  gethostname(name, sizeof(name) - 1);
  return judge(sethostname(name, strlen(name)));
}
