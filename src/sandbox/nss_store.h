// NSS's database of certificates, cert9.db, with one authority in it that may vouch for servers: what Chromium,
// Electron and their like read from ~/.pki/nssdb beside roots of their own. Written as the two pages of SQLite that it
// takes: the schema, and one table without an index. NSS adds keys (key4.db) and columns of later versions by itself.
// Pure, over bytes. Facts: sqlite.org/fileformat2.html; NSS lib/softoken/sdb.c, lib/util/pkcs11n.h.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace stockade::sandbox {

// `certificate`: DER, at most about 2 KiB.
Result<std::string> nss_store(std::string_view certificate);

}  // namespace stockade::sandbox
