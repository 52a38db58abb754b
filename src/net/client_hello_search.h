// ClientHelloSearch: finds where TLS begins in the bytes of a client whose protocol nobody knows: a record with a
// ClientHello in its beginning (RFC 8446, 4.1.2 and 5.1). What asks for TLS in the middle of such a protocol would
// otherwise hide all that follows. Seven bytes are compared that honest data has by chance once in some 10^15; a client
// that splits its ClientHello into records of less than six bytes is found by the four of the record and its type.
// Pure.
#pragma once

#include <string>
#include <string_view>

namespace stockade::net {

class ClientHelloSearch {
 public:
  // True once a ClientHello has begun, however the bytes are cut.
  bool feed(std::string_view bytes);

 private:
  std::string last_;  // what could still begin one
};

}  // namespace stockade::net
