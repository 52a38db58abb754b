/* Can gain privileges by executing a setuid file. */
#define _GNU_SOURCE
#include "victim.h"

#include <sys/prctl.h>

int main(void) {
  return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? held("no_new_privs") : broken("no_new_privs is off");
}
