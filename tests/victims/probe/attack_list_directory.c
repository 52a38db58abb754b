/* list_directory PATH…: finds a name in a directory that should not be there, or be empty. */
#include "victim.h"

#include <dirent.h>

int main(int count, char** values) {
  const char* how = "empty";
  for (int i = 1; i < count; ++i) {
    DIR* directory = opendir(values[i]);
    if (!directory) {
      how = error_name();
      continue;
    }
    for (const struct dirent* entry; (entry = readdir(directory));)
      if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) return broken(values[i]);
    closedir(directory);
  }
  return held(how);
}
