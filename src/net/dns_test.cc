#include "net/dns.h"

#include <gtest/gtest.h>
#include <ldns/ldns.h>

#include <memory>
#include <random>

#include "net/dns_name.h"

namespace stockade::net {
namespace {

using namespace std::string_literals;

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

std::string header(uint16_t id, uint16_t flags, uint16_t qd, uint16_t an = 0, uint16_t ns = 0, uint16_t ar = 0) {
  std::string out;
  for (uint16_t field : {id, flags, qd, an, ns, ar}) {
    out.push_back(static_cast<char>(field >> 8));
    out.push_back(static_cast<char>(field));
  }
  return out;
}

const std::string kQuestion =
    "\x03WwW\x07"
    "example\x03"
    "com\x00\x00\x01\x00\x01"s;
const std::string kOpt = "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"s;

struct LdnsPacket {
  ldns_pkt* packet = nullptr;
  explicit LdnsPacket(std::string_view wire) {
    if (ldns_wire2pkt(&packet, reinterpret_cast<const uint8_t*>(wire.data()), wire.size()) != LDNS_STATUS_OK)
      packet = nullptr;
  }
  ~LdnsPacket() {
    if (packet) ldns_pkt_free(packet);
  }
};

TEST(DnsQuery, IsReadWithItsCaseKeptForTheEcho) {
  const auto query = parse_dns_query(header(0x1234, 0x0110, 1) + kQuestion);
  ASSERT_TRUE(query);
  EXPECT_EQ(query->id, 0x1234);
  EXPECT_EQ(query->name, "www.example.com");
  EXPECT_EQ(query->question, kQuestion);
  EXPECT_EQ(query->type, 1);
  EXPECT_TRUE(query->recursion_desired);
  EXPECT_TRUE(query->checking_disabled);
  EXPECT_FALSE(query->edns);
  EXPECT_EQ(udp_limit(*query), 512u);

  const auto with_edns = parse_dns_query(header(1, 0x0100, 1, 0, 0, 1) + kQuestion + kOpt);
  ASSERT_TRUE(with_edns);
  EXPECT_TRUE(with_edns->edns);
  EXPECT_EQ(udp_limit(*with_edns), 1232u);
}

TEST(DnsQuery, WritesStrangeLabelsAsZoneFilesDo) {
  EXPECT_EQ(parse_dns_query(header(1, 0, 1) + "\x00\x00\x01\x00\x01"s)->name, ".");
  EXPECT_EQ(parse_dns_query(header(1, 0, 1) + "\x06"
                                              "a.b\\\x00\xff\x00\x00\x01\x00\x01"s)
                ->name,
            "a\\.b\\\\\\000\\255");
}

struct RefusedQuery {
  const char* name;
  std::string message;
  std::optional<DnsCode> code;
};

TEST(DnsQuery, IsRefusedWithTheFittingCode) {
  const std::string long_label = "\x40" + std::string(64, 'a') + "\x00\x00\x01\x00\x01"s;
  std::string long_name;
  for (int i = 0; i < 4; ++i) long_name += "\x3f" + std::string(63, 'a');
  const RefusedQuery cases[] = {
      {"empty", "", std::nullopt},
      {"short header", header(1, 0, 1).substr(0, 11), std::nullopt},
      {"a response", header(1, 0x8000, 1) + kQuestion, std::nullopt},
      {"NOTIFY", header(1, 0x2000, 1) + kQuestion, DnsCode::not_implemented},
      {"UPDATE", header(1, 0x2800, 1) + kQuestion, DnsCode::not_implemented},
      {"truncated", header(1, 0x0200, 1) + kQuestion, DnsCode::form_error},
      {"no question", header(1, 0, 0), DnsCode::form_error},
      {"two questions", header(1, 0, 2) + kQuestion + kQuestion, DnsCode::form_error},
      {"an answer", header(1, 0, 1, 1) + kQuestion, DnsCode::form_error},
      {"an authority", header(1, 0, 1, 0, 1) + kQuestion, DnsCode::form_error},
      {"two additionals", header(1, 0, 1, 0, 0, 2) + kQuestion + kOpt + kOpt, DnsCode::form_error},
      {"class CH", header(1, 0, 1) + "\x00\x00\x01\x00\x03"s, DnsCode::not_implemented},
      {"class ANY", header(1, 0, 1) + "\x00\x00\x01\x00\xff"s, DnsCode::not_implemented},
      {"a pointer", header(1, 0, 1) + "\xc0\x0c\x00\x01\x00\x01"s, DnsCode::form_error},
      {"a label of 64", header(1, 0, 1) + long_label, DnsCode::form_error},
      {"a name of 257", header(1, 0, 1) + long_name + "\x00\x00\x01\x00\x01"s, DnsCode::form_error},
      {"a label past the end",
       header(1, 0, 1) + "\x05"
                         "abc",
       DnsCode::form_error},
      {"no root",
       header(1, 0, 1) + "\x03"
                         "abc",
       DnsCode::form_error},
      {"no type", header(1, 0, 1) + "\x00\x00"s, DnsCode::form_error},
      {"bytes behind", header(1, 0, 1) + kQuestion + "x", DnsCode::form_error},
      {"OPT that is missing", header(1, 0, 1, 0, 0, 1) + kQuestion, DnsCode::form_error},
      {"additional A", header(1, 0, 1, 0, 0, 1) + kQuestion + "\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00"s,
       DnsCode::form_error},
      {"OPT with an owner",
       header(1, 0, 1, 0, 0, 1) + kQuestion +
           "\x01"
           "a" +
           kOpt,
       DnsCode::form_error},
      {"EDNS version 1", header(1, 0, 1, 0, 0, 1) + kQuestion + "\x00\x00\x29\x04\xd0\x00\x01\x00\x00\x00\x00"s,
       DnsCode::not_implemented},
      {"OPT with half an option",
       header(1, 0, 1, 0, 0, 1) + kQuestion + "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x03\x00\x0a\x00"s,
       DnsCode::form_error},
      {"too long", header(1, 0, 1) + kQuestion + std::string(5000, 'x'), DnsCode::form_error},
  };
  for (const auto& [name, message, code] : cases) {
    const auto query = parse_dns_query(message);
    ASSERT_FALSE(query) << name;
    EXPECT_EQ(query.error().code, code) << name << ": " << query.error().reason;
    const auto response = query.error().response();
    EXPECT_EQ(response.empty(), !code) << name;
    if (!code) continue;
    const LdnsPacket oracle(response);
    ASSERT_TRUE(oracle.packet) << name;
    EXPECT_TRUE(ldns_pkt_qr(oracle.packet));
    EXPECT_EQ(ldns_pkt_get_rcode(oracle.packet), static_cast<int>(*code));
  }
}

TEST(DnsReply, IsReadByLdns) {
  const auto query = parse_dns_query(header(7, 0x0100, 1, 0, 0, 1) + kQuestion + kOpt);
  ASSERT_TRUE(query);
  const auto wire =
      build_dns_reply(*query, {.addresses = {ip("198.18.0.1"), ip("fd00::1"), ip("198.18.0.2")}, .ttl = 300}, 1232);
  const LdnsPacket oracle(wire);
  ASSERT_TRUE(oracle.packet);
  EXPECT_EQ(ldns_pkt_id(oracle.packet), 7);
  EXPECT_TRUE(ldns_pkt_ra(oracle.packet));
  EXPECT_TRUE(ldns_pkt_rd(oracle.packet));
  EXPECT_TRUE(ldns_pkt_edns(oracle.packet));
  EXPECT_FALSE(ldns_pkt_tc(oracle.packet));
  ASSERT_EQ(ldns_pkt_ancount(oracle.packet), 2);  // the AAAA does not answer a question for A
  const ldns_rr* record = ldns_rr_list_rr(ldns_pkt_answer(oracle.packet), 0);
  const std::unique_ptr<char, decltype(&free)> text(ldns_rr2str(record), free);
  EXPECT_STREQ(text.get(), "WwW.example.com.\t300\tIN\tA\t198.18.0.1\n");
}

TEST(DnsReply, ToldToAnswerNothingSaysSo) {
  const auto query = parse_dns_query(header(7, 0x0100, 1) + kQuestion);
  for (const auto code : {DnsCode::no_error, DnsCode::server_failure, DnsCode::no_name}) {
    const LdnsPacket oracle(build_dns_reply(*query, {.code = code, .addresses = {ip("::1")}}, 512));
    ASSERT_TRUE(oracle.packet);
    EXPECT_EQ(ldns_pkt_get_rcode(oracle.packet), static_cast<int>(code));
    EXPECT_EQ(ldns_pkt_ancount(oracle.packet), 0);
    EXPECT_EQ(ldns_pkt_qdcount(oracle.packet), 1);
  }
}

TEST(DnsReply, IsTruncatedAtItsLimit) {
  const auto query = parse_dns_query(header(7, 0x0100, 1) + kQuestion);
  const std::vector<IpAddress> many(100, ip("198.18.0.1"));
  const auto wire = build_dns_reply(*query, {.addresses = many}, udp_limit(*query));
  EXPECT_LE(wire.size(), 512u);
  const LdnsPacket oracle(wire);
  ASSERT_TRUE(oracle.packet);
  EXPECT_TRUE(ldns_pkt_tc(oracle.packet));
  const LdnsPacket over_tcp(build_dns_reply(*query, {.addresses = many}, 65535));
  EXPECT_EQ(ldns_pkt_ancount(over_tcp.packet), 100);
  EXPECT_FALSE(ldns_pkt_tc(over_tcp.packet));
}

TEST(DnsResolver, BuildsAQueryThatItsOwnServerSideAccepts) {
  const auto wire = build_dns_query("Api.Example.com.", DnsType::aaaa, 0xbeef, "\xff\x00\xff"s);
  ASSERT_TRUE(wire);
  const auto query = parse_dns_query(*wire);
  ASSERT_TRUE(query);
  EXPECT_EQ(query->id, 0xbeef);
  EXPECT_EQ(query->name, "api.example.com");
  EXPECT_EQ(query->type, 28);
  EXPECT_TRUE(query->edns);
  EXPECT_EQ(query->question.substr(0, 5),
            "\x03"
            "API\x07"s);
  EXPECT_NE(query->question.find("EXAMPle"), std::string::npos);
  EXPECT_EQ(parse_dns_query(*build_dns_query("Api.Example.com", DnsType::a, 1))->question.substr(0, 5),
            "\x03"
            "api\x07"s);
}

TEST(DnsResolver, RefusesNamesThatDnsCannotCarry) {
  for (const std::string& name :
       {"a..b"s, ".a"s, "a.."s, std::string(64, 'a'), std::string(254, 'a'), "x." + std::string(64, 'b')})
    EXPECT_FALSE(build_dns_query(name, DnsType::a, 1)) << name;
  EXPECT_TRUE(build_dns_query(std::string(63, 'a'), DnsType::a, 1));
}

// ---- responses ----------------------------------------------------------------------------------------------------

std::string record(std::string_view owner, uint16_t type, uint32_t ttl, std::string_view data,
                   uint16_t record_class = 1) {
  std::string out(owner);
  for (uint16_t field : {type, record_class, static_cast<uint16_t>(ttl >> 16), static_cast<uint16_t>(ttl),
                         static_cast<uint16_t>(data.size())}) {
    out.push_back(static_cast<char>(field >> 8));
    out.push_back(static_cast<char>(field));
  }
  return out.append(data);
}

const std::string kOwner = "\xc0\x0c"s;
const std::string kAddress = "\x01\x02\x03\x04"s;

class DnsResponses : public testing::Test {
 protected:
  std::string query_ = build_dns_query("www.example.com", DnsType::a, 77, "\x5a").value();
  std::string question_ = parse_dns_query(query_)->question;

  std::string response(uint16_t answers, std::string_view records, uint16_t flags = 0x8180) {
    return (header(77, flags, 1, answers) + question_).append(records);
  }
};

TEST_F(DnsResponses, GiveAddressesAndTheLeastTtl) {
  const auto parsed =
      parse_dns_response(response(3, record(kOwner, 1, 300, kAddress) + record(kOwner, 1, 60, "\x05\x06\x07\x08") +
                                         record(kOwner, 16, 1, "\x01x")),
                         query_);
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(parsed->addresses, (std::vector{ip("1.2.3.4"), ip("5.6.7.8")}));
  EXPECT_EQ(parsed->ttl, 60u);
  EXPECT_EQ(parsed->canonical_name, "www.example.com");
}

TEST_F(DnsResponses, FollowAChainInAnyOrder) {
  const std::string cdn =
      "\x03"
      "CDN\x03net\x00"s;
  const std::string edge =
      "\x04"
      "edge\x03"
      "cdn\x03net\x00"s;
  const auto parsed = parse_dns_response(response(3, record("\x04"
                                                            "EDGE\x03"
                                                            "cdn\x03net\x00"s,
                                                            1, 30, kAddress) +
                                                         record(cdn, 5, 20, edge) + record(kOwner, 5, 90, cdn)),
                                         query_);
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(parsed->addresses, std::vector{ip("1.2.3.4")});
  EXPECT_EQ(parsed->canonical_name, "edge.cdn.net");
  EXPECT_EQ(parsed->ttl, 20u);
}

TEST_F(DnsResponses, IgnoreAddressesOfOtherNames) {
  const auto parsed = parse_dns_response(response(2, record("\x04"
                                                            "evil\x00"s,
                                                            1, 30, "\x7f\x00\x00\x01"s) +
                                                         record(kOwner, 1, 9, kAddress)),
                                         query_);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->addresses, std::vector{ip("1.2.3.4")});
}

TEST_F(DnsResponses, SayThatThereIsNothing) {
  const auto none = parse_dns_response(response(0, ""), query_);
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->addresses.empty());
  EXPECT_EQ(none->ttl, 0u);
  const auto no_name = parse_dns_response(response(0, "", 0x8183), query_);
  ASSERT_TRUE(no_name);
  EXPECT_EQ(no_name->code, DnsCode::no_name);
  const auto truncated = parse_dns_response(response(9, "", 0x8380), query_);
  ASSERT_TRUE(truncated);
  EXPECT_TRUE(truncated->truncated);
  // A TTL with its highest bit set counts as zero.
  EXPECT_EQ(parse_dns_response(response(1, record(kOwner, 1, 0x80000001, kAddress)), query_)->ttl, 0u);
}

TEST_F(DnsResponses, AreRefused) {
  std::string other_case = question_;
  other_case[1] = static_cast<char>(other_case[1] ^ 0x20);
  const std::string self =
      "\x03www\x07"
      "example\x03"
      "com\x00"s;
  std::string chain;
  for (int i = 0; i < 20; ++i) {
    const auto name = [](int n) { return "\x01"s + static_cast<char>('a' + n) + "\x00"s; };
    chain += record(i == 0 ? kOwner : name(i), 5, 1, name(i + 1));
  }
  const std::pair<const char*, std::string> cases[] = {
      {"empty", ""},
      {"another id", header(78, 0x8180, 1) + question_},
      {"a query", header(77, 0x0100, 1) + question_},
      {"another opcode", header(77, 0xa980, 1) + question_},
      {"no question", header(77, 0x8180, 0)},
      {"another case (0x20)", header(77, 0x8180, 1) + other_case},
      {"another question", header(77, 0x8180, 1) + kQuestion},
      {"a cut record", response(1, record(kOwner, 1, 1, kAddress).substr(0, 13))},
      {"bytes behind", response(1, record(kOwner, 1, 1, kAddress) + "x")},
      {"a missing record", response(2, record(kOwner, 1, 1, kAddress))},
      {"an address of 5 bytes", response(1, record(kOwner, 1, 1, "12345"))},
      {"an address of 3 bytes", response(1, record(kOwner, 1, 1, "123"))},
      {"a CNAME to itself", response(1, record(kOwner, 5, 1, self))},
      {"a CNAME loop", response(2, record(kOwner, 5, 1, "\x01x\x00"s) + record("\x01x\x00"s, 5, 1, self))},
      {"two CNAMEs", response(2, record(kOwner, 5, 1, "\x01x\x00"s) + record(kOwner, 5, 1, "\x01y\x00"s))},
      {"a CNAME beside an address", response(2, record(kOwner, 5, 1, "\x01x\x00"s) + record(kOwner, 1, 1, kAddress))},
      {"a long chain", response(20, chain)},
      {"a CNAME with bytes behind its name", response(1, record(kOwner, 5, 1, "\x01x\x00z"s))},
      {"a CNAME that ends inside a label", response(1, record(kOwner, 5, 1, "\x05x"))},
      {"a pointer to itself", response(1, record("\xc0\x21"s, 1, 1, kAddress))},
      {"a pointer forward", response(1, record("\xc0\x40"s, 1, 1, kAddress))},
      {"a pointer into the header", response(1, record("\xc0\x00"s, 1, 1, kAddress))},
      {"a reserved label type", response(1, record("\x80"s, 1, 1, kAddress))},
      {"300 addresses", response(300,
                                 [] {
                                   std::string all;
                                   for (int i = 0; i < 300; ++i) all += record(kOwner, 1, 1, kAddress);
                                   return all;
                                 }())},
  };
  for (const auto& [name, message] : cases) EXPECT_FALSE(parse_dns_response(message, query_)) << name;
}

std::vector<std::string> ldns_addresses(const ldns_pkt* packet, std::string owner) {
  std::vector<std::string> out;
  const ldns_rr_list* answers = ldns_pkt_answer(packet);
  for (int hop = 0; hop < 17; ++hop) {
    std::string next;
    for (size_t i = 0; i < ldns_rr_list_rr_count(answers); ++i) {
      const ldns_rr* rr = ldns_rr_list_rr(answers, i);
      std::unique_ptr<char, decltype(&free)> name(ldns_rdf2str(ldns_rr_owner(rr)), free);
      if (strcasecmp(name.get(), owner.c_str()) != 0 || ldns_rr_get_class(rr) != LDNS_RR_CLASS_IN) continue;
      std::unique_ptr<char, decltype(&free)> value(ldns_rdf2str(ldns_rr_rdf(rr, 0)), free);
      if (ldns_rr_get_type(rr) == LDNS_RR_TYPE_A) out.push_back(value.get());
      if (ldns_rr_get_type(rr) == LDNS_RR_TYPE_CNAME) next = value.get();
    }
    if (next.empty()) break;
    owner = next;
  }
  return out;
}

// Records of types that are nothing to us: ldns looks into their data, we do not.
bool has_other_types(std::string_view message) {
  DnsCursor cursor(message, kDnsHeaderSize);
  cursor.take_name(DnsCursor::Compression::refused);
  cursor.take32();
  while (!cursor.at_end()) {
    cursor.take_name(DnsCursor::Compression::followed);
    const uint16_t type = cursor.take16();
    if (type != 1 && type != 5) return true;
    cursor.take(6);
    cursor.take(cursor.take16());
  }
  return false;
}

// Seeded mutations: whatever we accept, ldns accepts, and reads the same addresses.
TEST_F(DnsResponses, AgreeWithLdns) {
  const std::string cdn =
      "\x03"
      "cdn\x03net\x00"s;
  const std::string seeds[] = {
      response(1, record(kOwner, 1, 300, kAddress)),
      response(3, record(kOwner, 5, 60, cdn) + record(cdn, 1, 30, kAddress) + record(cdn, 1, 30, "\x09\x08\x07\x06")),
      response(2, record(kOwner, 5, 60,
                         "\x03"
                         "cdn\xc0\x18"s) +
                      record("\xc0\x2d"s, 1, 30, kAddress)),
  };
  std::mt19937 random(20240607);
  size_t accepted = 0;
  for (int round = 0; round < 60000; ++round) {
    std::string message = seeds[random() % std::size(seeds)];
    const size_t changes = random() % 3;
    for (size_t i = 0; i < changes; ++i) message[random() % message.size()] = static_cast<char>(random());
    if (random() % 8 == 0) message.resize(random() % message.size());
    const auto parsed = parse_dns_response(message, query_);
    if (!parsed || parsed->truncated || parsed->code != DnsCode::no_error) continue;
    ++accepted;
    if (has_other_types(message)) continue;
    const LdnsPacket oracle(message);
    ASSERT_TRUE(oracle.packet) << "ldns refuses what we accept, round " << round;
    std::vector<std::string> ours;
    for (const auto& address : parsed->addresses) ours.push_back(address.to_string());
    EXPECT_EQ(ours, ldns_addresses(oracle.packet, "www.example.com.")) << round;
  }
  EXPECT_GT(accepted, 10000u);
}

TEST(DnsTcp, CutsAStreamAnywhere) {
  const std::string stream = dns_tcp_frame("first") + dns_tcp_frame("second!");
  for (size_t piece = 1; piece <= stream.size(); ++piece) {
    DnsTcpReader reader;
    std::vector<std::string> messages;
    for (size_t at = 0; at < stream.size();) {
      const auto taken = reader.feed(std::string_view(stream).substr(at, piece));
      ASSERT_TRUE(taken);
      at += *taken;
      if (reader.has_message()) messages.push_back(reader.take_message());
    }
    EXPECT_EQ(messages, (std::vector<std::string>{"first", "second!"})) << piece;
  }
}

TEST(DnsTcp, EndsAtAMessageThatIsEmptyOrTooLong) {
  DnsTcpReader reader;
  EXPECT_FALSE(reader.feed("\0\0"s));
  DnsTcpReader other;
  EXPECT_FALSE(other.feed("\x10\x01"s));
}

}  // namespace
}  // namespace stockade::net
