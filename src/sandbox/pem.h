// Certificates in PEM (RFC 7468) as their bytes (DER). What is no certificate between them, and one whose base64 is
// broken, is left out: a bundle of roots holds comments, and a root too few refuses, it does not open.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace stockade::sandbox {

std::vector<std::string> certificates_in(std::string_view pem);

}  // namespace stockade::sandbox
