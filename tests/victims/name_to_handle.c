/* Asks for an inode's handle, which open_by_handle_at takes. */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  struct {
    struct file_handle head;
    char bytes[MAX_HANDLE_SZ];
  } handle = {.head = {.handle_bytes = MAX_HANDLE_SZ}};
  int mount = 0;
  return judge_refused(name_to_handle_at(AT_FDCWD, "/usr", &handle.head, &mount, 0));
}
