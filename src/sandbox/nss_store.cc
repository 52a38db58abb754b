#include "sandbox/nss_store.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <vector>

#include "base/sha1.h"

namespace stockade::sandbox {

namespace {

constexpr size_t kPage = 4096;
constexpr size_t kPayloadLimit = kPage - 35;  // more than that would spill to another page

// One column for each attribute of PKCS #11 that NSS 3.87 knows, named by its number.
constexpr std::string_view kColumns =
    "a0, a1, a2, a3, a10, a11, a12, a80, a81, a82, a83, a84, a85, a86, a87, a88, a89, a8a, a8b, a90, a100, a101, a102, "
    "a103, a104, a105, a106, a107, a108, a109, a10a, a10b, a10c, a110, a111, a120, a121, a122, a123, a124, a125, a126, "
    "a127, a128, a129, a130, a131, a132, a133, a134, a160, a161, a162, a163, a164, a165, a166, a170, a180, a181, a200, "
    "a201, a202, a210, a300, a301, a302, a400, a401, a402, a403, a404, a405, a406, a480, a481, a482, a500, a501, a502, "
    "a503, a40000211, a40000212, a80000001, ace534351, ace534352, ace534353, ace534354, ace534355, ace534356, "
    "ace534357, ace534358, ace534364, ace534365, ace534366, ace534367, ace534368, ace534369, ace534373, ace534374, "
    "ace536351, ace536352, ace536353, ace536354, ace536355, ace536356, ace536357, ace536358, ace536359, ace53635a, "
    "ace53635b, ace53635c, ace53635d, ace53635e, ace53635f, ace536360, ace5363b4, ace5363b5, ad5a0db00";

using Attributes = std::map<std::string_view, std::string>;

void put(std::string& out, uint64_t value, int bytes) {  // big-endian
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
}
std::string number(uint32_t value) {
  std::string out;
  put(out, value, 4);
  return out;
}
std::string flag(bool on) { return std::string(1, on ? '\1' : '\0'); }

// ---- DER ----
// The next element, header and all, which `bytes` loses; its content is what it holds.
struct Element {
  std::string_view whole;
  std::string_view content;
};
std::optional<Element> next_element(std::string_view& bytes) {
  if (bytes.size() < 2) return std::nullopt;
  size_t length = static_cast<uint8_t>(bytes[1]), header = 2;
  if (length >= 0x80) {
    const size_t count = length & 0x7f;
    if (count == 0 || count > 2 || bytes.size() < 2 + count) return std::nullopt;
    length = 0;
    for (size_t i = 0; i < count; ++i) length = length << 8 | static_cast<uint8_t>(bytes[2 + i]);
    header += count;
  }
  if (bytes.size() < header + length) return std::nullopt;
  const Element element{bytes.substr(0, header + length), bytes.substr(header, length)};
  bytes.remove_prefix(header + length);
  return element;
}

// RFC 5280, 4.1: version, serial number, signature algorithm, issuer, validity, subject.
std::optional<std::array<std::string_view, 6>> fields_of(std::string_view certificate) {
  const auto outer = next_element(certificate);
  std::string_view rest = outer ? outer->content : std::string_view();
  const auto signed_part = next_element(rest);
  if (!signed_part || !certificate.empty()) return std::nullopt;
  rest = signed_part->content;
  std::array<std::string_view, 6> fields;
  for (std::string_view& field : fields) {
    const auto element = next_element(rest);
    if (!element) return std::nullopt;
    field = element->whole;
  }
  if (fields[0].empty() || fields[0][0] != '\xa0' || fields[1][0] != '\x02') return std::nullopt;
  return fields;
}

// ---- SQLite ----
void put_varint(std::string& out, uint64_t value) {
  std::string bytes(1, static_cast<char>(value & 0x7f));
  while (value >>= 7) bytes += static_cast<char>((value & 0x7f) | 0x80);
  out.append(bytes.rbegin(), bytes.rend());
}

class Record {
 public:
  void null() { put_varint(types_, 0); }
  void integer(uint8_t value) {
    put_varint(types_, 1);
    values_ += static_cast<char>(value);
  }
  void blob(std::string_view value) {
    put_varint(types_, 12 + 2 * value.size());
    values_ += value;
  }
  void text(std::string_view value) {
    put_varint(types_, 13 + 2 * value.size());
    values_ += value;
  }
  // As a cell of a table's leaf. The header's length counts itself: two bytes from 127 columns on.
  std::string cell(uint64_t row) const {
    std::string payload;
    put_varint(payload, types_.size() + (types_.size() < 0x7f ? 1 : 2));
    payload += types_ + values_;
    std::string out;
    put_varint(out, payload.size());
    put_varint(out, row);
    return out + payload;
  }

 private:
  std::string types_, values_;
};

// A leaf of a table; `prefix` is the file's header, on the first page.
std::optional<std::string> leaf(std::string prefix, const std::vector<std::string>& cells) {
  std::string content, pointers;
  for (const std::string& cell : cells) {
    content.insert(0, cell);
    put(pointers, kPage - content.size(), 2);
  }
  std::string page = std::move(prefix);
  put(page, 0x0d, 1);
  put(page, 0, 2);  // no free block
  put(page, cells.size(), 2);
  put(page, kPage - content.size(), 2);
  put(page, 0, 1);
  page += pointers;
  const bool too_long = std::ranges::any_of(cells, [](const std::string& cell) { return cell.size() > kPayloadLimit; });
  if (too_long || page.size() + content.size() > kPage) return std::nullopt;
  page.resize(kPage - content.size());
  return page + content;
}

std::string file_header() {
  std::string out("SQLite format 3\0", 16);
  put(out, kPage, 2);
  out += std::string_view("\1\1\0\100\40\40", 6);  // no WAL, nothing reserved, fixed payload fractions
  put(out, 1, 4);                                  // changes
  put(out, 2, 4);                                  // pages
  put(out, 0, 8);                                  // no free pages
  put(out, 1, 4);                                  // changes of the schema
  put(out, 4, 4);                                  // its format
  put(out, 0, 8);                                  // cache size, vacuum
  put(out, 1, 4);                                  // UTF-8
  out.resize(92);
  put(out, 1, 4);        // the change at which the number of pages was right
  put(out, 3040000, 4);  // the version of SQLite that wrote it
  return out;
}

std::string schema_row() {
  Record record;
  record.text("table");
  record.text("nssPublic");
  record.text("nssPublic");
  record.integer(2);  // its page
  record.text(fmt::format("CREATE TABLE nssPublic (id INTEGER PRIMARY KEY, {})", kColumns));
  return record.cell(1);
}

std::string object_row(uint64_t row, const Attributes& attributes) {
  Record record;
  record.null();  // the row's number is the id
  for (size_t at = 0; at < kColumns.size();) {
    const size_t end = std::min(kColumns.find(", ", at), kColumns.size());
    const auto found = attributes.find(kColumns.substr(at, end - at));
    found == attributes.end() ? record.null() : record.blob(found->second);
    at = end + 2;
  }
  return record.cell(row);
}

}  // namespace

Result<std::string> nss_store(std::string_view certificate) {
  const auto fields = fields_of(certificate);
  if (!fields) return fail(ErrorKind::internal, "the authority is no certificate in DER");
  const auto& [version, serial, algorithm, issuer, validity, subject] = *fields;
  const auto digest = sha1(certificate);
  const std::string fingerprint(digest.begin(), digest.end());
  const Attributes object = {
      {"a0", number(1)},    // CKA_CLASS: CKO_CERTIFICATE
      {"a1", flag(true)},   // CKA_TOKEN
      {"a2", flag(false)},  // CKA_PRIVATE
      {"a3", "Stockade, this run's own authority"},
      {"a11", std::string(certificate)},  // CKA_VALUE
      {"a80", number(0)},                 // CKA_CERTIFICATE_TYPE: CKC_X_509
      {"a81", std::string(issuer)},
      {"a82", std::string(serial)},
      {"a101", std::string(subject)},
      {"a102", fingerprint},  // CKA_ID
      {"a170", flag(true)},   // CKA_MODIFIABLE
  };
  const std::string unknown = number(0xce534355);  // CKT_NSS_TRUST_UNKNOWN
  const Attributes trust = {
      {"a0", number(0xce534353)},  // CKO_NSS_TRUST
      {"a1", flag(true)},
      {"a2", flag(false)},
      {"a81", std::string(issuer)},
      {"a82", std::string(serial)},
      {"a170", flag(true)},
      {"ace536358", number(0xce534352)},  // CKA_TRUST_SERVER_AUTH: CKT_NSS_TRUSTED_DELEGATOR
      {"ace536359", unknown},             // client authentication, code, mail
      {"ace53635a", unknown},
      {"ace53635b", unknown},
      {"ace536360", flag(false)},  // CKA_TRUST_STEP_UP_APPROVED
      {"ace5363b4", fingerprint},  // CKA_CERT_SHA1_HASH
  };
  const auto schema = leaf(file_header(), {schema_row()});
  const auto table = leaf({}, {object_row(1, object), object_row(2, trust)});
  if (!schema || !table) return fail(ErrorKind::internal, "the authority's certificate is too long for NSS's database");
  return *schema + *table;
}

}  // namespace stockade::sandbox
