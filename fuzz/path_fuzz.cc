// Paths that rules are matched against: normalised once is normalised for good, and nothing is left in the result that
// a server could read as another path. Also the fields by which a request asks for another method or path.
//
// covers: src/net/path.cc
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "net/path.h"

namespace {

using namespace stockade::net;

void require(bool condition) {
  if (!condition) std::abort();
}

void fuzz_path(std::string_view bytes) {
  const std::string exact(bytes);  // on the heap, so that a read past the end is seen
  const auto path = normalise_path(exact);
  if (!path) return;
  require(path->starts_with('/') && path->find("//") == std::string::npos);
  require(path->find_first_of("\\?#; ") == std::string::npos);
  require(!path->ends_with("/..") && path->find("/../") == std::string::npos);
  const auto again = normalise_path(*path);
  require(again && *again == *path);
}

void fuzz_override(std::string_view bytes) {
  RequestHead head;
  head.query = std::string(bytes);
  head.fields = {{std::string(bytes.substr(0, bytes.find(':'))), "x"}};
  if (const auto found = find_override(head))
    require(found->starts_with("header ") || found->starts_with("query field "));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  data[0] % 4 == 0 ? fuzz_override(bytes) : fuzz_path(bytes);
  return 0;
}
