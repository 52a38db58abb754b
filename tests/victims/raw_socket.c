/* Sends packets of any shape. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  return judge(socket(AF_INET, SOCK_RAW, 255));
}
