/* run_program HOW PATH: runs a program that no list names: as it is, by the dynamic loader, from a copy. */
#include "victim.h"

#include <sys/wait.h>

static const char* const loaders[] = {"/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1", "/usr/lib64/ld-linux-x86-64.so.2"};

static int copy_file(const char* from, const char* to) {
  const int in = open(from, O_RDONLY | O_CLOEXEC);
  const int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
  char buffer[65536];
  if (in < 0 || out < 0) return -1;
  for (long got; (got = read(in, buffer, sizeof(buffer))) > 0;)
    if (write(out, buffer, (size_t)got) != got) return -1;
  close(out);
  close(in);
  return 0;
}

int main(int count, char** values) {
  if (count < 3) return broken("no program");
  const char* const how = values[1];
  const char* program = values[2];
  if (strcmp(how, "copy") == 0) {
    if (copy_file("/proc/self/exe", "/tmp/unlisted") != 0) return held(error_name());
    program = "/tmp/unlisted";
  }
  const pid_t child = fork();
  if (child == 0) {
    close(1);
    open("/dev/null", O_WRONLY);
    if (strcmp(how, "loader") == 0)
      for (size_t i = 0; i < sizeof(loaders) / sizeof(loaders[0]); ++i) execl(loaders[i], loaders[i], program, (char*)NULL);
    else
      execl(program, program, "init_root", (char*)NULL);
    _exit(errno == ENOENT ? 98 : 99);
  }
  int status = 0;
  waitpid(child, &status, 0);
  unlink("/tmp/unlisted");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 98) return held("ENOENT");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 99) return held("EACCES");
  /* The loader's own refusal. */
  if (strcmp(how, "loader") == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 127) return held("the loader can't");
  return broken(program);
}
