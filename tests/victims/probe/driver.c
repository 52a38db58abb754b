/* Runs attacks from inside, one process each, and prints a line for each: NAME, a tab, the victim's own line.
 *   stockade-probe-victims drive SECONDS ATTACK…   an attack's arguments follow its name after a unit separator (0x1f)
 *   stockade-probe-victims ATTACK [ARG…]           the attack itself */
#include "victim.h"

#include <poll.h>
#include <sys/wait.h>
#include <time.h>

struct victim {
  const char* name;
  int (*run)(int, char**);
};
#include "table.inc"

static const struct victim* find(const char* name) {
  for (size_t i = 0; i < sizeof(victims) / sizeof(victims[0]); ++i)
    if (strcmp(victims[i].name, name) == 0) return &victims[i];
  return NULL;
}

static long milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* All that it says until it ends, closes its output or the deadline passes; what it started holds no end of ours up. */
static size_t listen_to(int fd, char* text, size_t size, long deadline) {
  size_t used = 0;
  while (used < size - 1) {
    const long left = deadline - milliseconds();
    struct pollfd watched = {fd, POLLIN, 0};
    if (left <= 0 || poll(&watched, 1, (int)left) <= 0) break;
    const long got = read(fd, text + used, size - 1 - used);
    if (got <= 0) break;
    used += (size_t)got;
    if (memchr(text, '\n', used)) break;
  }
  text[used] = 0;
  return used;
}

static void report(const char* name, char* text, int status, int timed_out) {
  char* end = strchr(text, '\n');
  if (end) *end = 0;
  if (strncmp(text, "held: ", 6) == 0 || strncmp(text, "broken: ", 8) == 0) {
    printf("%s\t%s\n", name, text);
  } else if (timed_out) {
    printf("%s\tbroken: no answer in time\n", name);
  } else if (WIFSIGNALED(status)) {
    printf("%s\theld: killed by SIG%s\n", name, sigabbrev_np(WTERMSIG(status)));
  } else {
    printf("%s\tbroken: no answer, status %d\n", name, WEXITSTATUS(status));
  }
  fflush(stdout);
}

static void attack(const char* self, char* spec, long patience) {
  char* arguments[16] = {(char*)self};
  int count = 1;
  for (char* word = strtok(spec, "\x1f"); word && count < 15; word = strtok(NULL, "\x1f")) arguments[count++] = word;
  int channel[2];
  char text[512] = "";
  if (pipe2(channel, O_CLOEXEC) != 0) {
    printf("%s\tbroken: the driver has no pipe: %s\n", arguments[1], error_name());
    return;
  }
  const pid_t child = fork();
  if (child == 0) {
    setpgid(0, 0);
    dup2(channel[1], 1);
    execv(self, arguments);
    _exit(99);
  }
  close(channel[1]);
  if (child < 0) {
    printf("%s\tbroken: the driver can't fork: %s\n", arguments[1], error_name());
    close(channel[0]);
    return;
  }
  const long deadline = milliseconds() + patience;
  listen_to(channel[0], text, sizeof(text), deadline);
  close(channel[0]);
  int status = 0;
  pid_t ended = 0;
  /* Its output is closed or complete: what is left is leaving, or hangs. */
  while ((ended = waitpid(child, &status, WNOHANG)) == 0 && milliseconds() < deadline) {
    const struct timespec moment = {0, 1000000};
    nanosleep(&moment, NULL);
  }
  const int timed_out = ended == 0;
  kill(-child, SIGKILL);
  kill(child, SIGKILL);
  if (timed_out) waitpid(child, &status, 0);
  report(arguments[1], text, status, timed_out);
}

int main(int count, char** values) {
  if (count >= 2 && strcmp(values[1], "again") == 0) return victim_memfd_exec(2, values);
  if (count >= 3 && strcmp(values[1], "drive") == 0) {
    for (int i = 3; i < count; ++i) attack("/probe/victims", values[i], atol(values[2]) * 1000);
    return 0;
  }
  const struct victim* victim = count >= 2 ? find(values[1]) : NULL;
  if (!victim) {
    printf("broken: no such attack\n");
    return 2;
  }
  return victim->run(count - 1, values + 1);
}
