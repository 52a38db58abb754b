// MongoDB: the first command of a client, hello or isMaster, in an OP_MSG or an OP_QUERY. TLS starts at the first byte
// or never. The document is read as strictly as it must be for every reader to see the same fields: lengths that nest
// exactly, no field twice.
#include <set>

#include "net/startup_lines.h"
#include "net/startup_parsers.h"

namespace stockade::net {

namespace {

constexpr uint32_t kOpMessage = 2013;
constexpr uint32_t kOpQuery = 2004;
constexpr uint32_t kChecksumPresent = 1;
constexpr size_t kDepthLimit = 16;

struct Element {
  uint8_t type = 0;
  std::string_view name;
  std::string_view value;  // of a string: its text; of a document or array: the whole document; else raw
};

constexpr uint8_t kDouble = 1, kString = 2, kDocument = 3, kArray = 4, kBinary = 5;

// One element off `cursor`; ok() of the cursor tells whether it was sound.
Element take_element(StartupCursor& cursor) {
  Element element;
  element.type = static_cast<uint8_t>(cursor.take_little(1));
  element.name = cursor.take_to_zero();
  const auto take_string = [&] {
    const auto size = cursor.take_little(4);
    const auto text = cursor.take(size);
    if (text.empty() || text.back() != '\0') return cursor.take(SIZE_MAX);
    return text.substr(0, text.size() - 1);
  };
  switch (element.type) {
    case kDouble:
    case 9:   // date
    case 17:  // timestamp
    case 18:  // int64
      element.value = cursor.take(8);
      break;
    case kString:
    case 13:  // JavaScript
    case 14:  // symbol
      element.value = take_string();
      break;
    case kDocument:
    case kArray: {
      auto ahead = cursor;
      const auto size = ahead.take_little(4);
      element.value = cursor.take(ahead.ok() ? size : SIZE_MAX);
      break;
    }
    case kBinary: {
      const auto size = cursor.take_little(4);
      cursor.take(1);
      element.value = cursor.take(size);
      break;
    }
    case 6:   // undefined
    case 10:  // null
      break;
    case 7:  // object id
      element.value = cursor.take(12);
      break;
    case 8:  // boolean
      element.value = cursor.take(1);
      break;
    case 16:  // int32
      element.value = cursor.take(4);
      break;
    case 19:  // decimal128
      element.value = cursor.take(16);
      break;
    default:
      cursor.take(SIZE_MAX);
  }
  return element;
}

class MongodbStartup : public StartupParser {
 public:
  MongodbStartup() : StartupParser(StartupProtocol::mongodb) { facts_.tls = StartupTls::never; }

 private:
  bool may_speak(Speaker speaker) const override { return speaker == Speaker::client; }

  Result<size_t> take(Speaker, std::string_view bytes) override {
    if (bytes.size() < 16) return 0;
    StartupCursor header(bytes);
    const auto size = header.take_little(4);
    header.take(8);  // request id, response to
    const auto code = static_cast<uint32_t>(header.take_little(4));
    if (size < 16 + 4 + 5 || size > kStartupMessageLimit) return refuse("a first message of an impossible length");
    if (bytes.size() < size) return 0;
    const auto body = bytes.substr(16, size - 16);
    if (code == kOpMessage) {
      STOCKADE_TRY(read_message(body));
    } else if (code == kOpQuery) {
      STOCKADE_TRY(read_query(body));
    } else {
      return refuse("a first message that is neither OP_MSG nor OP_QUERY");
    }
    finish(StartupTls::never);
    return size;
  }

  Result<void> read_message(std::string_view body) {
    StartupCursor cursor(body);
    const auto flags = static_cast<uint32_t>(cursor.take_little(4));
    if ((flags & 0xffff & ~3u) != 0) return refuse("an OP_MSG with an unknown flag that matters");
    const auto kind = cursor.take_little(1);
    const size_t checksum = flags & kChecksumPresent ? 4 : 0;
    if (!cursor.ok() || kind != 0 || cursor.size() < checksum) return refuse("an OP_MSG without one body");
    return read_hello(cursor.take(cursor.size() - checksum));
  }

  Result<void> read_query(std::string_view body) {
    StartupCursor cursor(body);
    cursor.take(4);  // flags
    const auto collection = cursor.take_to_zero();
    cursor.take(4 + 4);  // skip, return
    if (!cursor.ok() || !collection.ends_with(".$cmd")) return refuse("an OP_QUERY that is not a command");
    return read_hello(cursor.take_rest());
  }

  // Calls `use` for each element of a document that fills `bytes`.
  template <typename Use>
  Result<void> read_document(std::string_view bytes, size_t depth, Use use) const {
    if (depth > kDepthLimit) return refuse("a document that is nested too deeply");
    StartupCursor cursor(bytes);
    if (cursor.take_little(4) != bytes.size() || bytes.size() < 5 || bytes.back() != '\0')
      return refuse("a document whose length is not that of its field");
    StartupCursor elements(bytes.substr(4, bytes.size() - 5));
    std::set<std::string_view> seen;
    while (!elements.empty()) {
      const Element element = take_element(elements);
      if (!elements.ok()) return refuse("a malformed document");
      if (!seen.insert(element.name).second) return refuse("a field that is there twice");
      STOCKADE_TRY(use(element));
      if (element.type == kDocument || element.type == kArray) STOCKADE_TRY(check_nested(element.value, depth + 1));
    }
    return {};
  }
  // What no one asked for must be sound as well.
  Result<void> check_nested(std::string_view bytes, size_t depth) const {
    return read_document(bytes, depth, [](const Element&) { return Result<void>(); });
  }

  Result<void> read_hello(std::string_view bytes) {
    bool first = true;
    STOCKADE_TRY(read_document(bytes, 0, [&](const Element& element) -> Result<void> {
      if (std::exchange(first, false)) {
        if (element.name != "hello" && element.name != "isMaster" && element.name != "ismaster")
          return refuse("a first command that is not hello");
        facts_.request = element.name;
        return {};
      }
      return read_field(element);
    }));
    if (first) return refuse("an empty first command");
    return {};
  }

  Result<void> read_field(const Element& element) {
    if (element.name == "saslSupportedMechs" && element.type == kString) {
      const auto dot = element.value.find('.');  // a database's name has no dot, a user's may
      if (dot == std::string_view::npos) return refuse("saslSupportedMechs without a database");
      STOCKADE_TRY(set(facts_.database, element.value.substr(0, dot)));
      return set(facts_.user, element.value.substr(dot + 1));
    }
    if (element.name == "compression" && element.type == kArray)
      return read_document(element.value, 1, [&](const Element& item) -> Result<void> {
        if (item.type != kString) return refuse("a compressor that is not a string");
        return add(facts_.offered, item.value);
      });
    if (element.name == "client" && element.type == kDocument) return read_client(element.value);
    if (element.name == "speculativeAuthenticate" && element.type == kDocument) return read_login(element.value);
    return {};
  }

  Result<void> read_client(std::string_view document) {
    return read_document(document, 1, [&](const Element& part) -> Result<void> {
      if (part.type != kDocument || (part.name != "application" && part.name != "driver")) return {};
      return read_document(part.value, 2, [&](const Element& item) -> Result<void> {
        if (item.name != "name" || item.type != kString) return {};
        // The application's name beats the driver's.
        if (part.name == "driver" && !facts_.application.empty()) return {};
        return set(facts_.application, item.value);
      });
    });
  }

  Result<void> read_login(std::string_view document) {
    std::string_view payload;
    STOCKADE_TRY(read_document(document, 1, [&](const Element& item) -> Result<void> {
      if (item.name == "mechanism" && item.type == kString) return set(facts_.mechanism, item.value);
      if (item.name == "db" && item.type == kString) return set(facts_.database, item.value);
      if (item.name == "payload" && item.type == kBinary) payload = item.value;
      return {};
    }));
    const std::string user = sasl_user(facts_.mechanism, payload);
    return user.empty() ? Result<void>() : set(facts_.user, user);
  }
};

}  // namespace

std::unique_ptr<StartupParser> make_mongodb_startup() { return std::make_unique<MongodbStartup>(); }

}  // namespace stockade::net
