// What real clients said (startup_captures/capture.py), read in whole and in pieces.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "net/startup.h"

namespace stockade::net {
namespace {

struct Expected {
  StartupProtocol protocol;
  StartupTls tls;
  bool done = true;
  std::string user = {};
  std::string database = {};
  std::string application = {};
};

const std::map<std::string, Expected>& expectations() {
  using enum StartupProtocol;
  constexpr auto kNow = StartupTls::now;
  constexpr auto kNever = StartupTls::never;
  static const std::map<std::string, Expected> kAll = {
      {"postgresql_psql_plain", {postgresql, kNever, true, "alice", "shop", "psql"}},
      {"postgresql_psql_tls", {postgresql, kNow}},
      {"postgresql_openssl", {postgresql, kNow}},
      {"mysql_client_plain", {mysql, kNever, true, "alice", "shop", "mysql"}},
      {"mysql_client_tls", {mysql, kNow}},
      {"mysql_pymysql", {mysql, kNever, true, "alice", "shop", "demo"}},
      {"mysql_openssl", {mysql, kNow}},
      {"redis_cli", {redis, kNever, true, "alice", "4"}},
      {"redis_python", {redis, kNever, false, "alice"}},
      {"mongodb_pymongo", {mongodb, kNever, true, "alice", "admin", "demo"}},
      {"smtp_smtplib_tls", {smtp, kNow, true, "", "", "me.example"}},
      {"smtp_smtplib_mail", {smtp, kNever, false, "alice", "", "me.example"}},
      {"smtp_openssl", {smtp, kNow, true, "", "", "mail.example.com"}},
      {"imap_openssl", {imap, kNow}},
      {"imap_imaplib_login", {imap, kNever, true, "alice"}},
      {"pop3_poplib_login", {pop3, kNever, true, "alice"}},
      {"pop3_poplib_tls", {pop3, kNow}},
      {"pop3_openssl", {pop3, kNow}},
      {"ftp_ftplib_login", {ftp, kNever, true, "alice"}},
      {"ftp_ftplib_tls", {ftp, kNow}},
      {"ftp_openssl", {ftp, kNow}},
      {"ldap_openssl", {ldap, kNow}},
      {"ldap_ldapsearch_tls", {ldap, kNow}},
      {"ldap_ldap3_bind", {ldap, kNever, true, "cn=alice,dc=example"}},
      {"xmpp_openssl", {xmpp, kNow}},
      {"git_ls_remote", {git, kNever}},
      {"git_push", {git, kNever}},
      {"ssh_openssh", {ssh, kNever}},
      {"amqp_pika", {amqp, kNever, true, "alice", "shop"}},
      {"mqtt_paho_311", {mqtt, kNever, true, "alice", "", "client-7"}},
      {"mqtt_paho_5", {mqtt, kNever, true, "alice", "", "client-7"}},
      {"nats_python", {nats, kNever, true, "alice", "", "demo"}},
  };
  return kAll;
}

std::string from_hex(std::string_view text) {
  std::string out;
  for (size_t i = 0; i + 1 < text.size(); i += 2)
    out.push_back(static_cast<char>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  return out;
}

struct Outcome {
  std::string error;
  bool done = false;
  StartupFacts facts;
  std::string held[2];
  bool operator==(const Outcome&) const = default;
};

Outcome replay(const std::string& path, StartupProtocol protocol, size_t piece) {
  std::ifstream file(path);
  const auto parser = make_startup_parser(protocol);
  Outcome outcome;
  for (std::string line; std::getline(file, line);) {
    const auto speaker = line[0] == 'C' ? Speaker::client : Speaker::server;
    const std::string bytes = from_hex(std::string_view(line).substr(2));
    std::string& held = outcome.held[static_cast<size_t>(speaker)];
    for (size_t at = 0; at < bytes.size(); at += piece) {
      held += bytes.substr(at, piece);
      const auto taken = parser->feed(speaker, held);
      if (!taken) {
        outcome.error = taken.error().message();
        return outcome;
      }
      held.erase(0, *taken);
    }
  }
  outcome.done = parser->done();
  outcome.facts = parser->facts();
  return outcome;
}

TEST(StartupCaptures, AreReadAsTheyWereMeant) {
  const std::string folder = STOCKADE_SOURCE_DIR "/src/net/startup_captures/";
  for (const auto& [name, expected] : expectations()) {
    const std::string path = folder + name + ".txt";
    ASSERT_TRUE(std::filesystem::exists(path)) << name;
    const Outcome outcome = replay(path, expected.protocol, SIZE_MAX / 2);
    EXPECT_EQ(outcome.error, "") << name;
    EXPECT_EQ(outcome.done, expected.done) << name;
    EXPECT_EQ(outcome.facts.tls, expected.tls) << name;
    if (!expected.user.empty()) {
      EXPECT_EQ(outcome.facts.user, expected.user) << name;
    }
    if (!expected.database.empty()) {
      EXPECT_EQ(outcome.facts.database, expected.database) << name;
    }
    if (!expected.application.empty()) {
      EXPECT_EQ(outcome.facts.application, expected.application) << name;
    }
    if (expected.tls == StartupTls::now) {
      EXPECT_TRUE(outcome.held[0].starts_with("\x16\x03")) << name;
    }
    for (const size_t piece : {1, 3, 64}) EXPECT_TRUE(replay(path, expected.protocol, piece) == outcome) << name;
  }
}

TEST(StartupCaptures, AreAllExpected) {
  for (const auto& entry : std::filesystem::directory_iterator(STOCKADE_SOURCE_DIR "/src/net/startup_captures"))
    if (entry.path().extension() == ".txt") {
      EXPECT_TRUE(expectations().contains(entry.path().stem().string())) << entry.path();
    }
}

TEST(StartupCaptures, AreGuessedFromTheirFirstBytes) {
  using enum StartupProtocol;
  for (const auto& [name, expected] : expectations()) {
    if (server_speaks_first(expected.protocol)) continue;
    std::ifstream file(STOCKADE_SOURCE_DIR "/src/net/startup_captures/" + name + ".txt");
    for (std::string line; std::getline(file, line);) {
      if (line[0] != 'C') continue;
      EXPECT_EQ(startup_by_first_bytes(from_hex(std::string_view(line).substr(2))).protocol, expected.protocol) << name;
      break;
    }
  }
}

TEST(StartupCaptures, NameWhatGitAndSshAskFor) {
  const std::string folder = STOCKADE_SOURCE_DIR "/src/net/startup_captures/";
  const auto git = replay(folder + "git_ls_remote.txt", StartupProtocol::git, 4096).facts;
  EXPECT_EQ(git.request, "git-upload-pack");
  EXPECT_EQ(git.path, "/a/b.git");
  EXPECT_TRUE(git.host.starts_with("127.0.0.1:"));
  EXPECT_EQ(replay(folder + "git_push.txt", StartupProtocol::git, 4096).facts.request, "git-upload-archive");
  const auto ssh = replay(folder + "ssh_openssh.txt", StartupProtocol::ssh, 4096).facts;
  EXPECT_TRUE(ssh.application.starts_with("SSH-2.0-OpenSSH"));
  EXPECT_TRUE(ssh.server.starts_with("SSH-2.0-OpenSSH"));
  EXPECT_GT(ssh.offered.size(), 5u);
  const auto smtp = replay(folder + "smtp_smtplib_mail.txt", StartupProtocol::smtp, 4096).facts;
  EXPECT_EQ(smtp.senders, std::vector<std::string>{"a@a.example"});
  EXPECT_EQ(smtp.recipients, (std::vector<std::string>{"b@b.example", "c@c.example"}));
}

}  // namespace
}  // namespace stockade::net
