/* Opens any inode of a filesystem by its number (shocker, 2014). */
#define _GNU_SOURCE
#include "victim.h"

int main(void) {
  struct {
    struct file_handle head;
    char bytes[MAX_HANDLE_SZ];
  } handle = {.head = {.handle_bytes = 8, .handle_type = 1}};
  const int mount = open("/", O_RDONLY | O_DIRECTORY);
  return judge_refused(open_by_handle_at(mount, &handle.head, O_RDONLY));
}
