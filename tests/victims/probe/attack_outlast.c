/* outlast SECONDS: ignores every signal that can be ignored, leaves its session, and stays. */
#include "victim.h"

int main(int count, char** values) {
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_IGN);
  if (fork() == 0) setsid();
  sleep(count > 1 ? (unsigned)atoi(values[1]) : 10);
  return broken("outlived its time limit");
}
