/* Makes all readable memory of later programs executable. */
#define _GNU_SOURCE
#include "victim.h"

#include <sys/personality.h>

int main(void) {
  return judge(personality(READ_IMPLIES_EXEC));
}
