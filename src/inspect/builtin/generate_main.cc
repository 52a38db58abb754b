// The build's compiler of the built-in patterns: inspect_generate SECRETS INJECTION RULES TERMS reads the two files of
// rules and writes the images that the program holds as constant data (pattern_database.h).
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "inspect/compiled_rules.h"
#include "inspect/injection_terms.h"

using namespace stockade;
using namespace stockade::inspect;

namespace {

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "inspect_generate: %s\n", why.c_str());
  std::exit(1);
}

template <typename T>
T expect(Result<T> result) {
  if (!result) give_up(result.error().render());
  return std::move(*result);
}

std::string read_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) give_up(std::string("can't read ") + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_file(const char* path, Image image) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(image.data()), static_cast<std::streamsize>(image.size()));
  file.close();
  if (!file) give_up(std::string("can't write ") + path);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) give_up("usage: inspect_generate SECRETS INJECTION RULES TERMS");
  const auto rules = expect(CompiledRules::compile(expect(parse_rules(read_file(argv[1]), argv[1]))));
  const auto terms = expect(TermFinder::create(expect(parse_injection_rules(read_file(argv[2]))), Folder()));
  write_file(argv[3], rules->image());
  write_file(argv[4], terms.image());
  return 0;
}
