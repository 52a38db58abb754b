// The parts of egress that are functions of values: records, names, destinations, requests, the host's files, ICMP.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "egress/datagrams.h"
#include "egress/destination.h"
#include "egress/dns_service.h"
#include "egress/http_judge.h"
#include "egress/name_table.h"
#include "egress/pipe_pool.h"
#include "net/dns.h"

namespace stockade::egress {
namespace {

policy::NetworkRule rule_for(const std::string& host, std::vector<std::string> methods = {},
                             std::vector<std::string> paths = {}) {
  policy::NetworkRule rule;
  rule.host = host;
  rule.ports = {{80, 80}};
  rule.methods = std::move(methods);
  rule.paths = std::move(paths);
  return rule;
}

Notice sample_notice() {
  Notice notice;
  notice.seq = 7;
  notice.kind = NoticeKind::request;
  notice.decision = NoticeDecision::log;
  notice.count = 3;
  notice.rule = 2;
  notice.by_deny_rule = true;
  notice.host = "api.example";
  notice.port = 443;
  notice.subject = "api.example:443";
  notice.reason = "because";
  notice.hint = "do this";
  notice.evidence = {{"method", "GET"}, {"path", "/x"}};
  return notice;
}

template <typename Record>
std::optional<Record> round_trip(const Record& record) {
  WireWriter out;
  write_record(out, record);
  WireReader in(out.bytes());
  Record read;
  read_record(in, read);
  if (!in.finished()) return std::nullopt;
  return read;
}

TEST(Records, SurviveTheWire) {
  const auto notice = round_trip(sample_notice());
  ASSERT_TRUE(notice);
  EXPECT_EQ(notice->subject, "api.example:443");
  EXPECT_EQ(notice->evidence, sample_notice().evidence);
  EXPECT_EQ(notice->hint, "do this");
  Dial dial;
  dial.flow = 9;
  dial.to = {3, "", *IpAddress::parse("2606:4700::1"), 443};
  dial.client = *Endpoint::parse("10.0.0.1:4000");
  dial.original = *Endpoint::parse("[::1]:2");
  const auto read = round_trip(dial);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->to.subject(), "[2606:4700::1]:443");
  EXPECT_EQ(read->client, dial.client);
  EXPECT_EQ(read->original, dial.original);
  EXPECT_TRUE(round_trip(Dialed{1, DialResult::limit, "x"}));
  EXPECT_TRUE(round_trip(Traffic{1, 2, 3, true}));
  const auto asked = round_trip(SealFlow{7, {"postgresql", "h2"}});
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->alpn, (std::vector<std::string>{"postgresql", "h2"}));
  const auto seal = round_trip(Seal{7, {1, "api.example", {}, 443}, {"postgresql"}});
  ASSERT_TRUE(seal);
  EXPECT_EQ(seal->to.subject(), "api.example:443");
  EXPECT_EQ(seal->alpn.size(), 1u);
  const auto sealed = round_trip(Sealed{7, false, "the certificate of api.example: expired", "http/1.1"});
  ASSERT_TRUE(sealed);
  EXPECT_EQ(sealed->reason, "the certificate of api.example: expired");
  const auto answered = round_trip(Answered{9, true, "a person approved it"});
  ASSERT_TRUE(answered);
  EXPECT_TRUE(answered->seq == 9 && answered->granted && answered->reason == "a person approved it");
  EXPECT_EQ(round_trip(AuthorityMade{"-----BEGIN CERTIFICATE-----"})->certificate, "-----BEGIN CERTIFICATE-----");
}

TEST(Records, RefuseEveryTruncationAndNoByteReadsPastTheEnd) {
  WireWriter out;
  write_record(out, sample_notice());
  for (size_t size = 0; size < out.bytes().size(); ++size) {
    WireReader in(std::string_view(out.bytes()).substr(0, size));
    Notice notice;
    read_record(in, notice);
    EXPECT_FALSE(in.finished()) << size;
  }
  // Any one byte changed: accepted or refused, never more than the bounds.
  for (size_t at = 0; at < out.bytes().size(); ++at) {
    std::string bytes = out.bytes();
    bytes[at] = static_cast<char>(bytes[at] ^ 0xff);
    WireReader in(bytes);
    Notice notice;
    read_record(in, notice);
    if (!in.finished()) continue;
    EXPECT_LE(notice.subject.size(), kSubjectLimit);
    EXPECT_LE(notice.evidence.size(), kEvidenceEntries);
  }
}

TEST(Records, CutWhatIsTooLong) {
  Notice notice = sample_notice();
  notice.subject = std::string(100'000, 's');
  notice.evidence.assign(50, {std::string(1000, 'k'), std::string(100'000, 'v')});
  const auto read = round_trip(notice);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->subject.size(), kSubjectLimit);
  EXPECT_EQ(read->evidence.size(), kEvidenceEntries);
}

TEST(NameTable, BindsEachNameOnceAndFindsItByBothAddresses) {
  NameTable table;
  const auto a = table.bind("a.example");
  const auto b = table.bind("b.example");
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->v4.to_string(), "198.18.0.1");
  EXPECT_EQ(table.bind("a.example")->v4, a->v4);
  EXPECT_EQ(table.name_of(b->v4), "b.example");
  EXPECT_EQ(table.name_of(b->v6), "b.example");
  EXPECT_TRUE(NameTable::is_synthetic(b->v6));
  for (const char* other : {"198.18.0.0", "198.18.0.3", "198.19.255.255", "0.0.0.0", "255.255.255.255",
                            "fd53:746f:636b:6164::", "fd53:746f:636b:6164::3", "::1"})
    EXPECT_FALSE(table.name_of(*IpAddress::parse(other))) << other;
}

TEST(NameTable, IsBoundedInNamesAndBytes) {
  NameTable small(3);
  for (const char* name : {"a", "b", "c"}) EXPECT_TRUE(small.bind(name));
  EXPECT_FALSE(small.bind("d"));
  EXPECT_TRUE(small.bind("a"));
  NameTable table;
  size_t bound = 0;
  while (bound < 100'000 && table.bind(fmt::format("{}.{}", bound, std::string(200, 'x')))) ++bound;
  EXPECT_LE(bound * 200, NameTable::kNameBytes);
  NameTable full;
  for (size_t i = 0; i < NameTable::kNames; ++i) ASSERT_TRUE(full.bind(fmt::format("n{}", i)));
  EXPECT_FALSE(full.bind("one-more"));
  EXPECT_TRUE(NameTable::is_synthetic(full.bind("n65535")->v4));
}

TEST(DnsService, AnswersServfailAndAnEventWhenTheTableIsFull) {
  NameTable table(1);
  const std::string query = net::build_dns_query("first.example", net::DnsType::a, 1).value();
  EXPECT_FALSE(answer_dns(table, query, true).notice);
  const std::string second = net::build_dns_query("second.example", net::DnsType::a, 2).value();
  const DnsAnswer full = answer_dns(table, second, true);
  ASSERT_TRUE(full.notice);
  EXPECT_EQ(full.notice->kind, NoticeKind::name);
  EXPECT_EQ(net::parse_dns_response(full.bytes, second)->code, net::DnsCode::server_failure);
  // What needs no binding is still answered.
  const std::string text = net::build_dns_query("third.example", net::DnsType::txt, 3).value();
  EXPECT_FALSE(answer_dns(table, text, true).notice);
  EXPECT_EQ(table.size(), 1u);
}

TEST(Destination, ForbidsTheHostItselfItsGatewayAndSpecialRanges) {
  HostView host;
  host.own = {*IpAddress::parse("93.184.216.1"), *IpAddress::parse("10.0.0.5")};
  host.gateways = {*IpAddress::parse("10.0.0.1")};
  policy::NetworkRule rule = rule_for("api.example");
  const auto forbidden = [&](const char* address) {
    return forbidden_destination(rule, *IpAddress::parse(address), host).has_value();
  };
  EXPECT_FALSE(forbidden("93.184.216.34"));
  EXPECT_TRUE(forbidden("93.184.216.1"));
  EXPECT_TRUE(forbidden("10.0.0.9"));
  rule.addresses = {*Cidr::parse("10.0.0.0/8"), *Cidr::parse("0.0.0.0/0"), *Cidr::parse("169.254.0.0/16")};
  EXPECT_FALSE(forbidden("10.0.0.9"));
  EXPECT_TRUE(forbidden("10.0.0.5"));     // the host's own: not named alone
  EXPECT_TRUE(forbidden("10.0.0.1"));     // its gateway
  EXPECT_TRUE(forbidden("192.168.0.1"));  // 0.0.0.0/0 names no special range
  EXPECT_TRUE(forbidden("169.254.169.254"));
  EXPECT_TRUE(forbidden("::ffff:10.0.0.9"));
  rule.addresses = {*Cidr::parse("10.0.0.5/32"), *Cidr::parse("169.254.169.254")};
  EXPECT_FALSE(forbidden("10.0.0.5"));
  EXPECT_FALSE(forbidden("169.254.169.254"));
}

TEST(Destination, SuspectsNamesUnderWildcardsThatCarryData) {
  const auto suspect = [](const std::string& host) {
    return suspicious_wildcard_name("*.example.com", host).has_value();
  };
  EXPECT_FALSE(suspect("www.example.com"));
  EXPECT_FALSE(suspect("my-service-prod.eu-west-1.example.com"));
  EXPECT_FALSE(suspect("0f8fad5b-d9cb-469f-a165-70867728950e.example.com"));
  EXPECT_TRUE(suspect("mfrggzdfmztwq2lknnwg23tpobyxe43uov3h.example.com"));
  EXPECT_TRUE(suspect(std::string(41, 'a') + ".example.com"));
  EXPECT_TRUE(suspect("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z.aa.bb.cc.dd.ee.example.com"));
  EXPECT_FALSE(suspicious_wildcard_name("api.example.com", "api.example.com"));
}

TEST(HostView, ReadsResolversHostsAndGateways) {
  const auto resolvers = parse_resolv_conf(
      "# c\nsearch x\nnameserver 1.1.1.1\nnameserver fe80::1%eth0\nnameserver 2606:4700::1\nnameserver "
      "9.9.9.9\nnameserver 8.8.8.8\n");
  ASSERT_EQ(resolvers.size(), 3u);
  EXPECT_EQ(resolvers[1].to_string(), "[2606:4700::1]:53");
  const auto hosts =
      parse_hosts("127.0.0.1 localhost\n10.0.0.7\tDB.Internal db # the database\nnonsense\n::1 localhost");
  EXPECT_EQ(hosts.at("db.internal")[0].to_string(), "10.0.0.7");
  EXPECT_EQ(hosts.at("localhost").size(), 2u);
  const auto routes =
      parse_routes4("Iface\tDestination\tGateway\nens4\t00000000\t0100000A\t0003\nens4\t0000000A\t00000000\t0001\n");
  EXPECT_EQ(routes, (std::set<IpAddress>{*IpAddress::parse("10.0.0.1")}));
  const auto routes6 = parse_routes6(
      "00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 "
      "00000400 x x x eth0\n");
  EXPECT_EQ(routes6, (std::set<IpAddress>{*IpAddress::parse("fe80::1")}));
}

TEST(Datagrams, BuildPortUnreachableForBothFamilies) {
  const std::string four = port_unreachable(*Endpoint::parse("10.0.0.1:1000"), *Endpoint::parse("8.8.8.8:443"));
  ASSERT_EQ(four.size(), 8u + 20 + 8);
  uint32_t sum = 0;
  for (size_t i = 0; i < four.size(); i += 2)
    sum += static_cast<unsigned char>(four[i]) << 8 | static_cast<unsigned char>(four[i + 1]);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  EXPECT_EQ(sum, 0xffffu);
  EXPECT_EQ(port_unreachable(*Endpoint::parse("[::2]:1000"), *Endpoint::parse("[::3]:443")).size(), 8u + 40 + 8);
}

TEST(HttpJudge, JudgesAddressRulesByTheirOwnMethodsAndPaths) {
  policy::Network network;
  policy::NetworkRule rule = rule_for("", {"GET"}, {"/v1/**"});
  rule.address = *Cidr::parse("93.184.216.0/24");
  network.allow = {rule};
  Destination to{0, "", *IpAddress::parse("93.184.216.34"), 80};
  const auto judge = [&](const std::string& line, const std::string& host) {
    const auto head =
        net::parse_request_head(line + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n", net::RequestPlace::origin);
    return head && judge_http_request(network, to, *head).allowed;
  };
  EXPECT_TRUE(judge("GET /v1/x", "93.184.216.34"));
  EXPECT_FALSE(judge("GET /v2/x", "93.184.216.34"));
  EXPECT_FALSE(judge("POST /v1/x", "93.184.216.34"));
  EXPECT_FALSE(judge("GET /v1/x", "other.example"));
}

TEST(PipePool, NeverHandsOnAPipeWithBytesLeft) {
  PipePool pool;
  auto pipe = pool.take();
  ASSERT_TRUE(pipe);
  pipe->filled = 1;
  pool.give_back(std::move(pipe));
  EXPECT_EQ(pool.in_use(), 0u);
  std::vector<std::unique_ptr<PipePool::Pipe>> all;
  while (auto next = pool.take()) all.push_back(std::move(next));
  EXPECT_LE(all.size(), PipePool::kPipes);
  for (auto& one : all) pool.give_back(std::move(one));
  EXPECT_EQ(pool.in_use(), 0u);
}

}  // namespace
}  // namespace stockade::egress
