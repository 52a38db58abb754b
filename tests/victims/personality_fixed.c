/* Takes address randomisation from later programs. */
#define _GNU_SOURCE
#include "victim.h"

#include <sys/personality.h>

int main(void) {
  return judge(personality(ADDR_NO_RANDOMIZE));
}
