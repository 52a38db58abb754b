#include "net/dns.h"

#include <algorithm>
#include <array>

#include "net/dns_name.h"

namespace stockade::net {

namespace {

constexpr uint16_t kResponseBit = 0x8000;
constexpr uint16_t kTruncatedBit = 0x0200;
constexpr uint16_t kRecursionDesiredBit = 0x0100;
constexpr uint16_t kRecursionAvailableBit = 0x0080;
constexpr uint16_t kCheckingDisabledBit = 0x0010;
constexpr uint16_t kClassIn = 1;
constexpr size_t kChainLimit = 16;
constexpr size_t kAddressLimit = 256;

void put16(std::string& out, uint16_t value) {
  out.push_back(static_cast<char>(value >> 8));
  out.push_back(static_cast<char>(value & 0xff));
}

void put32(std::string& out, uint32_t value) {
  put16(out, static_cast<uint16_t>(value >> 16));
  put16(out, static_cast<uint16_t>(value & 0xffff));
}

struct Header {
  uint16_t id = 0, flags = 0, questions = 0, answers = 0, authorities = 0, additionals = 0;

  uint8_t opcode() const { return static_cast<uint8_t>(flags >> 11 & 0xf); }
  DnsCode code() const { return static_cast<DnsCode>(flags & 0xf); }
};

Header take_header(DnsCursor& cursor) {
  Header header;
  for (uint16_t* field :
       {&header.id, &header.flags, &header.questions, &header.answers, &header.authorities, &header.additionals})
    *field = cursor.take16();
  return header;
}

void put_header(std::string& out, const Header& header) {
  for (uint16_t field :
       {header.id, header.flags, header.questions, header.answers, header.authorities, header.additionals})
    put16(out, field);
}

void put_opt(std::string& out) {
  out.push_back(0);
  put16(out, static_cast<uint16_t>(DnsType::opt));
  put16(out, kDnsUdpPayload);
  put32(out, 0);
  put16(out, 0);
}

// Options are pairs of code and length that fill the record exactly.
bool are_options_sound(std::string_view data) {
  DnsCursor cursor(data);
  while (cursor.ok() && !cursor.at_end()) {
    cursor.take16();
    cursor.take(cursor.take16());
  }
  return cursor.ok();
}

bool is_answerable(uint16_t type) {
  return type == static_cast<uint16_t>(DnsType::a) || type == static_cast<uint16_t>(DnsType::aaaa);
}

}  // namespace

std::string DnsRefusal::response() const {
  if (!code) return {};
  std::string out;
  Header header{.id = id};
  header.flags = static_cast<uint16_t>(kResponseBit | opcode << 11 | static_cast<uint16_t>(*code) |
                                       (recursion_desired ? kRecursionDesiredBit : 0));
  put_header(out, header);
  return out;
}

std::expected<DnsQuery, DnsRefusal> parse_dns_query(std::string_view message) {
  DnsCursor cursor(message);
  const Header header = take_header(cursor);
  const auto refuse = [&](std::optional<DnsCode> code, std::string_view reason) {
    return std::unexpected(
        DnsRefusal{code, header.id, (header.flags & kRecursionDesiredBit) != 0, header.opcode(), std::string(reason)});
  };
  if (!cursor.ok()) return refuse(std::nullopt, "shorter than a DNS header");
  if (header.flags & kResponseBit) return refuse(std::nullopt, "a response where a query belongs");
  if (message.size() > kDnsQueryLimit) return refuse(DnsCode::form_error, "longer than any sensible query");
  if (header.opcode() != 0) return refuse(DnsCode::not_implemented, "an operation other than QUERY");
  if (header.flags & kTruncatedBit) return refuse(DnsCode::form_error, "a truncated query");
  if (header.questions != 1) return refuse(DnsCode::form_error, "not exactly one question");
  if (header.answers != 0 || header.authorities != 0) return refuse(DnsCode::form_error, "records in a query");
  if (header.additionals > 1) return refuse(DnsCode::form_error, "more than one additional record");

  DnsQuery query;
  query.id = header.id;
  query.recursion_desired = (header.flags & kRecursionDesiredBit) != 0;
  query.checking_disabled = (header.flags & kCheckingDisabledBit) != 0;
  query.name = cursor.take_name(DnsCursor::Compression::refused);
  query.type = cursor.take16();
  const uint16_t question_class = cursor.take16();
  if (!cursor.ok()) return refuse(DnsCode::form_error, "a malformed question");
  query.question = message.substr(kDnsHeaderSize, cursor.at() - kDnsHeaderSize);
  if (question_class != kClassIn) return refuse(DnsCode::not_implemented, "a class other than IN");

  if (header.additionals == 1) {
    const std::string owner = cursor.take_name(DnsCursor::Compression::refused);
    const uint16_t type = cursor.take16();
    const uint16_t size = cursor.take16();
    const uint32_t extended = cursor.take32();
    const auto options = cursor.take(cursor.take16());
    if (!cursor.ok() || owner != "." || type != static_cast<uint16_t>(DnsType::opt) || !are_options_sound(options))
      return refuse(DnsCode::form_error, "an additional record that is not a sound OPT");
    // BADVERS needs an OPT of its own to be said; a client that old or new gets the plain refusal.
    if ((extended >> 16 & 0xff) != 0) return refuse(DnsCode::not_implemented, "an EDNS version other than 0");
    query.edns = true;
    query.udp_size = std::max<uint16_t>(size, 512);
  }
  if (!cursor.at_end()) return refuse(DnsCode::form_error, "bytes after the query");
  return query;
}

size_t udp_limit(const DnsQuery& query) { return std::min<size_t>(query.udp_size, kDnsUdpPayload); }

std::string build_dns_reply(const DnsQuery& query, const DnsReply& reply, size_t size_limit) {
  const size_t opt_size = query.edns ? 11 : 0;
  std::string records;
  uint16_t count = 0;
  bool truncated = false;
  for (const IpAddress& address : reply.addresses) {
    const auto type = address.is_v4() ? DnsType::a : DnsType::aaaa;
    if (reply.code != DnsCode::no_error || query.type != static_cast<uint16_t>(type)) continue;
    const size_t width = address.is_v4() ? 4 : 16;
    if (kDnsHeaderSize + query.question.size() + records.size() + 12 + width + opt_size > size_limit ||
        count == UINT16_MAX) {
      truncated = true;
      break;
    }
    put16(records, 0xc000 | kDnsHeaderSize);  // the question's name
    put16(records, static_cast<uint16_t>(type));
    put16(records, kClassIn);
    put32(records, reply.ttl);
    put16(records, static_cast<uint16_t>(width));
    records.append(reinterpret_cast<const char*>(address.bytes().data()), width);
    ++count;
  }
  Header header{.id = query.id, .questions = 1, .answers = count, .additionals = static_cast<uint16_t>(query.edns)};
  header.flags = static_cast<uint16_t>(
      kResponseBit | kRecursionAvailableBit | static_cast<uint16_t>(reply.code) | (truncated ? kTruncatedBit : 0) |
      (query.recursion_desired ? kRecursionDesiredBit : 0) | (query.checking_disabled ? kCheckingDisabledBit : 0));
  std::string out;
  put_header(out, header);
  out += query.question;
  out += records;
  if (query.edns) put_opt(out);
  return out;
}

Result<std::string> build_dns_query(std::string_view name, DnsType type, uint16_t id, std::string_view case_bits) {
  std::string out;
  put_header(out, Header{.id = id, .flags = kRecursionDesiredBit, .questions = 1, .additionals = 1});
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.size() + 2 > kDnsNameLimit)
    return fail(ErrorKind::invalid_input, "a name of {} bytes is too long for DNS", name.size());
  size_t letter = 0;
  while (!name.empty()) {
    const auto dot = name.find('.');
    const std::string_view label = name.substr(0, dot);
    if (label.empty() || label.size() > 63 || (dot != std::string_view::npos && dot + 1 == name.size()))
      return fail(ErrorKind::invalid_input, "a name with an empty label or one over 63 bytes can't be resolved");
    out.push_back(static_cast<char>(label.size()));
    for (char c : label) {
      const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      const bool is_letter = lower >= 'a' && lower <= 'z';
      const bool up = is_letter && !case_bits.empty() &&
                      (static_cast<uint8_t>(case_bits[letter / 8 % case_bits.size()]) >> (letter % 8) & 1) != 0;
      if (is_letter) ++letter;
      out.push_back(up ? static_cast<char>(lower - 'a' + 'A') : lower);
    }
    name = dot == std::string_view::npos ? std::string_view() : name.substr(dot + 1);
  }
  out.push_back(0);
  put16(out, static_cast<uint16_t>(type));
  put16(out, kClassIn);
  put_opt(out);
  return out;
}

// ---- the response
// ------------------------------------------------------------------------------------------------------

namespace {

struct Record {
  std::string owner;
  uint16_t type = 0;
  uint16_t record_class = 0;
  uint32_t ttl = 0;
  std::string_view data;
  size_t data_at = 0;
  std::string target;  // of a CNAME
};

Record take_record(DnsCursor& cursor) {
  Record record;
  record.owner = cursor.take_name(DnsCursor::Compression::followed);
  record.type = cursor.take16();
  record.record_class = cursor.take16();
  record.ttl = cursor.take32();
  if (record.ttl & 0x80000000u) record.ttl = 0;  // RFC 2181, section 8
  const uint16_t size = cursor.take16();
  record.data_at = cursor.at();
  record.data = cursor.take(size);
  return record;
}

bool has_type(const Record& record, DnsType type) { return record.type == static_cast<uint16_t>(type); }

IpAddress address_of(const Record& record) {
  if (record.data.size() == 4) {
    uint32_t bits = 0;
    for (char c : record.data) bits = bits << 8 | static_cast<uint8_t>(c);
    return IpAddress::v4(bits);
  }
  std::array<uint8_t, 16> bytes;
  std::copy(record.data.begin(), record.data.end(), bytes.begin());
  return IpAddress::v6(bytes);
}

// What a record of the answer section has to be, whoever it belongs to. Fills in an alias's target.
Result<void> check_answer(std::string_view message, Record& record) {
  if (record.record_class != kClassIn)
    return fail(ErrorKind::protocol, "a DNS response with a record of another class");
  if ((has_type(record, DnsType::a) && record.data.size() != 4) ||
      (has_type(record, DnsType::aaaa) && record.data.size() != 16))
    return fail(ErrorKind::protocol, "a DNS response with an address of the wrong length");
  if (!has_type(record, DnsType::cname)) return {};
  // Read inside the whole message: the target may be compressed, and has to fill the record exactly.
  DnsCursor cursor(message.substr(0, record.data_at + record.data.size()), record.data_at);
  record.target = cursor.take_name(DnsCursor::Compression::followed);
  if (!cursor.ok() || !cursor.at_end()) return fail(ErrorKind::protocol, "a DNS response with a malformed CNAME");
  return {};
}

// Follows CNAMEs from the question's name through the answer section, whatever the order of its records.
Result<void> follow_chain(const std::vector<Record>& answers, uint16_t type, DnsResponse& response) {
  for (size_t hop = 0; hop <= kChainLimit; ++hop) {
    const Record* alias = nullptr;
    for (const Record& record : answers) {
      if (record.owner != response.canonical_name) continue;
      if (record.type == type) {
        if (response.addresses.size() == kAddressLimit)
          return fail(ErrorKind::protocol, "a DNS response with too many addresses");
        response.addresses.push_back(address_of(record));
        response.ttl = std::min(response.ttl, record.ttl);
      } else if (has_type(record, DnsType::cname)) {
        if (alias) return fail(ErrorKind::protocol, "a DNS response with two CNAMEs for one name");
        alias = &record;
      }
    }
    if (!alias) return {};
    if (!response.addresses.empty()) return fail(ErrorKind::protocol, "a DNS response with a CNAME beside addresses");
    response.canonical_name = alias->target;
    response.ttl = std::min(response.ttl, alias->ttl);
  }
  return fail(ErrorKind::protocol, "a DNS response with a CNAME chain that is too long or a loop");
}

}  // namespace

Result<DnsResponse> parse_dns_response(std::string_view message, std::string_view query) {
  DnsCursor sent(query);
  const Header asked = take_header(sent);
  DnsResponse response;
  response.canonical_name = sent.take_name(DnsCursor::Compression::refused);
  const uint16_t type = sent.take16();
  sent.take16();
  if (!sent.ok() || !is_answerable(type))
    return fail(ErrorKind::internal, "a DNS response is judged without its query");

  DnsCursor cursor(message);
  const Header header = take_header(cursor);
  if (!cursor.ok()) return fail(ErrorKind::protocol, "a DNS response shorter than its header");
  if (!(header.flags & kResponseBit) || header.opcode() != 0)
    return fail(ErrorKind::protocol, "a DNS message that is not a response");
  if (header.id != asked.id) return fail(ErrorKind::protocol, "a DNS response with another id than the query");
  const size_t question_size = sent.at() - kDnsHeaderSize;
  if (header.questions != 1 || cursor.take(question_size) != query.substr(kDnsHeaderSize, question_size))
    return fail(ErrorKind::protocol, "a DNS response to another question");
  response.code = header.code();
  if (header.flags & kTruncatedBit) {
    response.truncated = true;
    return response;
  }

  std::vector<Record> answers;
  for (size_t i = 0; i < size_t{header.answers} + header.authorities + header.additionals; ++i) {
    Record record = take_record(cursor);
    if (!cursor.ok()) return fail(ErrorKind::protocol, "a DNS response that ends inside a record");
    if (i >= header.answers) continue;
    STOCKADE_TRY(check_answer(message, record));
    answers.push_back(std::move(record));
  }
  if (!cursor.at_end()) return fail(ErrorKind::protocol, "a DNS response with bytes after its last record");
  if (response.code != DnsCode::no_error) return response;

  response.ttl = UINT32_MAX;
  STOCKADE_TRY(follow_chain(answers, type, response));
  if (response.ttl == UINT32_MAX) response.ttl = 0;
  return response;
}

// ---- TCP
// ----------------------------------------------------------------------------------------------------------------

std::string dns_tcp_frame(std::string_view message) {
  std::string out;
  put16(out, static_cast<uint16_t>(message.size()));
  return out.append(message);
}

Result<size_t> DnsTcpReader::feed(std::string_view bytes) {
  size_t taken = 0;
  if (!length_) {
    const size_t count = std::min(2 - buffer_.size(), bytes.size());
    buffer_.append(bytes.substr(0, count));
    taken = count;
    if (buffer_.size() < 2) return taken;
    length_ = static_cast<size_t>(static_cast<uint8_t>(buffer_[0])) << 8 | static_cast<uint8_t>(buffer_[1]);
    buffer_.clear();
    if (*length_ == 0 || *length_ > limit_)
      return fail(ErrorKind::protocol, "a DNS message of {} bytes over TCP", *length_);
  }
  const size_t count = std::min(*length_ - buffer_.size(), bytes.size() - taken);
  buffer_.append(bytes.substr(taken, count));
  return taken + count;
}

std::string DnsTcpReader::take_message() {
  length_.reset();
  return std::exchange(buffer_, {});
}

}  // namespace stockade::net
