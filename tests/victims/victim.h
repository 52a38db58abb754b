/* A victim does one hostile thing, from inside, with nothing but libc. It prints one line and exits:
 *   held: ERRNO      the attempt was refused (exit 0)
 *   broken: DETAIL   it worked (exit 1)
 * Each is harmless where nothing holds it: it asks for the door to open and doesn't walk through. They are run by the
 * unit tests with and without the walls, by `stockade probe` and by the system tests. */
#ifndef VICTIM_H
#define VICTIM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((unused)) static int held(const char* how) {
  printf("held: %s\n", how);
  return 0;
}

__attribute__((unused)) static int broken(const char* what) {
  printf("broken: %s\n", what);
  return 1;
}

__attribute__((unused)) static const char* error_name(void) {
  const char* name = strerrorname_np(errno);
  return name ? name : "unknown error";
}

/* Broken when the call worked. */
__attribute__((unused)) static int judge(long result) {
  return result < 0 ? held(error_name()) : broken("the call succeeded");
}

/* Broken unless the call was refused as such: any other error comes from behind the wall. */
__attribute__((unused)) static int judge_refused(long result) {
  if (result >= 0) return broken("the call succeeded");
  switch (errno) {
    case EPERM:
    case EACCES:
    case ENOSYS:
    case ENOPROTOOPT:
      return held(error_name());
    default: {
      char what[64];
      snprintf(what, sizeof(what), "the kernel looked at it: %s", error_name());
      return broken(what);
    }
  }
}

/* Broken when the file opens. */
__attribute__((unused)) static int judge_open(const char* path, int flags) {
  const int file = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (file < 0) return held(error_name());
  close(file);
  return broken(path);
}

/* Broken when the file has a byte to read. */
__attribute__((unused)) static int judge_read(const char* path) {
  const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return held(error_name());
  char byte;
  const long got = read(file, &byte, 1);
  const int saved = errno;
  close(file);
  errno = saved;
  if (got < 0) return held(error_name());
  return got == 0 ? held("empty") : broken(path);
}

#endif
