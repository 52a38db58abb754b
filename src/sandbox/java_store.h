// Java's trust store, cacerts, as JKS version 2: every Java reads it, since also the later default type (PKCS #12)
// recognises it. Its digest uses the password that every cacerts has, so that `keytool` accepts it as well; it protects
// nothing. Pure, over bytes. Facts: sun.security.provider.JavaKeyStore (OpenJDK).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace stockade::sandbox {

// All of a store that holds these certificates (DER) and one more, but for the end that adds that one.
std::string java_store_head(const std::vector<std::string>& certificates);
std::string java_store_ending(std::string_view head, std::string_view last_certificate);

}  // namespace stockade::sandbox
