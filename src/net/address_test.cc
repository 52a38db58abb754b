#include <gtest/gtest.h>

#include "net/address_classes.h"
#include "net/address_spelling.h"

namespace stockade::net {
namespace {

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

struct ForbiddenCase {
  const char* address;
  const char* name;
};

class ForbiddenAddress : public testing::TestWithParam<ForbiddenCase> {};

TEST_P(ForbiddenAddress, HasItsClass) {
  const auto found = forbidden_class(ip(GetParam().address));
  ASSERT_TRUE(found) << GetParam().address;
  EXPECT_EQ(found->name, GetParam().name) << GetParam().address;
  EXPECT_NE(found->reason(ip(GetParam().address)).find(GetParam().name), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(
    Registries, ForbiddenAddress,
    testing::Values(
        ForbiddenCase{"0.0.0.0", "this-network"}, ForbiddenCase{"0.1.2.3", "this-network"},
        ForbiddenCase{"10.255.0.1", "private-use"}, ForbiddenCase{"100.64.0.1", "shared address space"},
        ForbiddenCase{"100.127.255.255", "shared address space"}, ForbiddenCase{"127.0.0.1", "loopback"},
        ForbiddenCase{"127.255.255.254", "loopback"}, ForbiddenCase{"169.254.1.1", "link-local"},
        ForbiddenCase{"172.16.0.1", "private-use"}, ForbiddenCase{"172.31.255.255", "private-use"},
        ForbiddenCase{"192.0.0.8", "IETF protocol assignments"}, ForbiddenCase{"192.0.2.7", "documentation"},
        ForbiddenCase{"192.31.196.1", "AS112 sink"}, ForbiddenCase{"192.52.193.1", "AMT anycast"},
        ForbiddenCase{"192.88.99.1", "6to4 relay anycast"}, ForbiddenCase{"192.168.1.1", "private-use"},
        ForbiddenCase{"192.175.48.1", "AS112 sink"}, ForbiddenCase{"198.18.0.1", "benchmarking"},
        ForbiddenCase{"198.19.255.255", "benchmarking"}, ForbiddenCase{"198.51.100.1", "documentation"},
        ForbiddenCase{"203.0.113.1", "documentation"}, ForbiddenCase{"224.0.0.1", "multicast"},
        ForbiddenCase{"239.255.255.255", "multicast"}, ForbiddenCase{"240.0.0.1", "reserved"},
        ForbiddenCase{"255.255.255.255", "limited broadcast"}, ForbiddenCase{"169.254.169.254", "cloud metadata"},
        ForbiddenCase{"169.254.170.2", "cloud metadata"}, ForbiddenCase{"100.100.100.200", "cloud metadata"},
        ForbiddenCase{"168.63.129.16", "cloud metadata"}, ForbiddenCase{"fd00:ec2::254", "cloud metadata"},
        ForbiddenCase{"fd20:ce::254", "cloud metadata"}, ForbiddenCase{"::", "unspecified"},
        ForbiddenCase{"::1", "loopback"}, ForbiddenCase{"::ffff:8.8.8.8", "IPv4-mapped"},
        ForbiddenCase{"::8.8.8.8", "IPv4-compatible"}, ForbiddenCase{"64:ff9b:1::8.8.8.8", "local-use NAT64"},
        ForbiddenCase{"100::1", "discard-only"}, ForbiddenCase{"100:0:0:1::1", "dummy prefix"},
        ForbiddenCase{"2001:0:4136:e378:8000:63bf:f7f7:f7f7", "Teredo"},
        ForbiddenCase{"2001:1::1", "port control protocol anycast"}, ForbiddenCase{"2001:2::1", "benchmarking"},
        ForbiddenCase{"2001:3::1", "AMT anycast"}, ForbiddenCase{"2001:4:112::1", "AS112 sink"},
        ForbiddenCase{"2001:10::1", "ORCHID"}, ForbiddenCase{"2001:20::1", "ORCHIDv2"},
        ForbiddenCase{"2001:30::1", "drone remote identification"},
        ForbiddenCase{"2001:1ff::1", "IETF protocol assignments"}, ForbiddenCase{"2001:db8::1", "documentation"},
        ForbiddenCase{"2002:808:808::1", "6to4"}, ForbiddenCase{"2620:4f:8000::1", "AS112 sink"},
        ForbiddenCase{"3fff:1::1", "documentation"}, ForbiddenCase{"5f00::1", "segment routing SIDs"},
        ForbiddenCase{"fc00::1", "unique local"}, ForbiddenCase{"fdff::1", "unique local"},
        ForbiddenCase{"fe80::1", "link-local"}, ForbiddenCase{"fec0::1", "site-local"},
        ForbiddenCase{"ff02::1", "multicast"}, ForbiddenCase{"4000::1", "unallocated"},
        // The address inside decides first, whatever carries it.
        ForbiddenCase{"::ffff:127.0.0.1", "loopback"}, ForbiddenCase{"::ffff:169.254.169.254", "cloud metadata"},
        ForbiddenCase{"::10.0.0.1", "private-use"}, ForbiddenCase{"64:ff9b::10.0.0.1", "private-use"},
        ForbiddenCase{"64:ff9b::169.254.169.254", "cloud metadata"},
        ForbiddenCase{"64:ff9b:1::10.0.0.1", "private-use"}, ForbiddenCase{"2002:7f00:1::", "loopback"},
        ForbiddenCase{"2002:a9fe:a9fe::1", "cloud metadata"},
        ForbiddenCase{"2001:0:4136:e378:8000:63bf:80ff:fffe", "loopback"},
        ForbiddenCase{"2a00:1450:4001::5efe:10.0.0.1", "private-use"},
        ForbiddenCase{"2a00:1450:4001:0:200:5efe:7f00:1", "loopback"}));

TEST(AddressClasses, LetsOrdinaryPublicAddressesPass) {
  for (const char* address :
       {"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255",
        "172.32.0.0", "192.0.1.1", "198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700:4700::1111",
        "2001:200::1", "2a00:1450:4001::5efe", "64:ff9b::8.8.8.8", "2a00:1450:4001:0:200:5efe:808:808", "3ffe:ffff::1"})
    EXPECT_FALSE(forbidden_class(ip(address))) << address;
}

TEST(AddressClasses, SaysWhatAnAddressCarries) {
  const auto address = ip("64:ff9b::10.0.0.1");
  EXPECT_EQ(forbidden_class(address)->reason(address),
            "64:ff9b::a00:1 carries 10.0.0.1, which is private-use (10.0.0.0/8, RFC 1918)");
  EXPECT_EQ(forbidden_class(ip("10.0.0.1"))->reason(ip("10.0.0.1")), "10.0.0.1 is private-use (10.0.0.0/8, RFC 1918)");
  EXPECT_EQ(embedded_ipv4(ip("2001:0:4136:e378:8000:63bf:3fff:fdd2")), ip("192.0.2.45"));  // RFC 4380's example
  EXPECT_EQ(embedded_ipv4(ip("2606:4700::1")), std::nullopt);
  EXPECT_EQ(embedded_ipv4(ip("::1")), std::nullopt);
}

TEST(AddressClasses, KnowsMetadataNames) {
  EXPECT_TRUE(is_metadata_name("metadata.google.internal"));
  EXPECT_FALSE(is_metadata_name("metadata.example.com"));
}

struct SpellingCase {
  const char* text;
  const char* address;
};

class AddressSpelling : public testing::TestWithParam<SpellingCase> {};

TEST_P(AddressSpelling, IsBroughtToOneForm) {
  const auto address = spelled_address(GetParam().text);
  ASSERT_TRUE(address) << GetParam().text;
  EXPECT_EQ(address->to_string(), GetParam().address) << GetParam().text;
}

INSTANTIATE_TEST_SUITE_P(
    Spellings, AddressSpelling,
    testing::Values(
        SpellingCase{"127.0.0.1", "127.0.0.1"}, SpellingCase{"2130706433", "127.0.0.1"},
        SpellingCase{"017700000001", "127.0.0.1"}, SpellingCase{"0x7f000001", "127.0.0.1"},
        SpellingCase{"0X7F.1", "127.0.0.1"}, SpellingCase{"127.1", "127.0.0.1"}, SpellingCase{"127.0.1", "127.0.0.1"},
        SpellingCase{"0177.0.0.1", "127.0.0.1"}, SpellingCase{"0x7f.0.0x0.01", "127.0.0.1"},
        SpellingCase{"127.0.0.1.", "127.0.0.1"}, SpellingCase{"0", "0.0.0.0"}, SpellingCase{"0x", "0.0.0.0"},
        SpellingCase{"00000000177.0.0.1", "127.0.0.1"}, SpellingCase{"127.65530", "127.0.255.250"},
        SpellingCase{"%31%32%37.0.0.1", "127.0.0.1"}, SpellingCase{"%2531%2532%2537.1", "127.0.0.1"},
        SpellingCase{"127%2e0%2E0.1", "127.0.0.1"}, SpellingCase{" 127.0.0.1\t", "127.0.0.1"},
        SpellingCase{"１２７.０.０.１", "127.0.0.1"}, SpellingCase{"127。0．0｡1", "127.0.0.1"},
        SpellingCase{"①②⑦.⓪.⓪.①", "127.0.0.1"}, SpellingCase{"¹²⁷.₀.0.1", "127.0.0.1"},
        SpellingCase{"𝟙𝟚𝟟.0.0.𝟏", "127.0.0.1"}, SpellingCase{"０ｘ７ｆ.1", "127.0.0.1"},
        SpellingCase{"%EF%BC%91%EF%BC%92%EF%BC%97.1", "127.0.0.1"}, SpellingCase{"12\u200b7.0.0.1", "127.0.0.1"},
        SpellingCase{"[127.0.0.1]", "127.0.0.1"}, SpellingCase{"169.254.169.254", "169.254.169.254"},
        SpellingCase{"0xA9FEA9FE", "169.254.169.254"}, SpellingCase{"0251.0376.0251.0376", "169.254.169.254"},
        SpellingCase{"2852039166", "169.254.169.254"}, SpellingCase{"::1", "::1"}, SpellingCase{"[::1]", "::1"},
        SpellingCase{"[::1].", "::1"}, SpellingCase{"0:0:0:0:0:0:0:1", "::1"}, SpellingCase{"[0000::0001]", "::1"},
        SpellingCase{"fe80::1%eth0", "fe80::1"}, SpellingCase{"[fe80::1%25eth0]", "fe80::1"},
        SpellingCase{"::FFFF:127.0.0.1", "::ffff:127.0.0.1"}, SpellingCase{"::ffff:0177.0.0.1", "::ffff:127.0.0.1"},
        SpellingCase{"::ffff:0x7f.1", "::ffff:127.0.0.1"}, SpellingCase{"%5B%3A%3A1%5D", "::1"},
        SpellingCase{"［：：１］", "::1"}, SpellingCase{"::ffff:7f00:1", "::ffff:127.0.0.1"}));

TEST(AddressSpellingOfNames, IsNone) {
  for (const char* text : {"",
                           ".",
                           "example.com",
                           "a.b",
                           "256.0.0.1",
                           "1.2.3.4.5",
                           "1..2",
                           "08.1.1.1",
                           "0x1g",
                           "4294967296",
                           "127.0.0.1.example.com",
                           "dead.beef",
                           "[::1",
                           "::g",
                           "1.2.3.4:80",
                           "xn--1",
                           "٣.1.1.1",
                           "-1",
                           "+1",
                           "1e3",
                           "%",
                           "%zz",
                           "ä"})
    EXPECT_FALSE(spelled_address(text)) << text << " gave " << spelled_address(text)->to_string();
  EXPECT_FALSE(spelled_address(std::string(2000, '1')));
}

TEST(AddressSpellingOfNames, KnowsWhatCanOnlyBeAnAddress) {
  for (const char* text : {"1", "256.1.1.1", "1.2.3.4.5", "foo.0x1", "foo.09", "a.1.", "0x"})
    EXPECT_TRUE(ends_in_number(text)) << text;
  for (const char* text : {"", ".", "a", "1.a", "1a", "0xg", "x.1a"}) EXPECT_FALSE(ends_in_number(text)) << text;
}

}  // namespace
}  // namespace stockade::net
