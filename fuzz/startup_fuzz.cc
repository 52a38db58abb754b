// The startup parsers of all protocols: the same facts, the same bytes taken and the same error however a dialogue is
// cut; what is taken was offered; TLS begins where the client's startup ends, and nothing but a ClientHello passes
// there. The guess by first bytes never changes its mind.
//
// Input: the protocol; then for each thing said one byte for the speaker (high bit) and the upper bits of its length,
// one for the lower, and the bytes.
//
// covers: src/net/startup.cc src/net/startup_parser.cc src/net/startup_lines.cc src/net/startup_postgresql.cc
// covers: src/net/startup_mysql.cc src/net/startup_redis.cc src/net/startup_mongodb.cc src/net/startup_smtp.cc
// covers: src/net/startup_imap.cc src/net/startup_pop3.cc src/net/startup_ftp.cc src/net/startup_ldap.cc
// covers: src/net/startup_xmpp.cc src/net/startup_ssh.cc src/net/startup_git.cc src/net/startup_amqp.cc
// covers: src/net/startup_mqtt.cc src/net/startup_nats.cc
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "net/startup.h"

namespace {

using namespace stockade;
using namespace stockade::net;

void require(bool condition) {
  if (!condition) std::abort();
}

struct Said {
  Speaker speaker;
  std::string_view bytes;
};

std::vector<Said> dialogue_of(std::string_view bytes) {
  std::vector<Said> out;
  while (bytes.size() > 2 && out.size() < 64) {
    const auto first = static_cast<uint8_t>(bytes[0]);
    const size_t size = static_cast<size_t>(first & 0x7f) << 8 | static_cast<uint8_t>(bytes[1]);
    bytes.remove_prefix(2);
    out.push_back({first & 0x80 ? Speaker::server : Speaker::client, bytes.substr(0, size)});
    bytes.remove_prefix(std::min(size, bytes.size()));
  }
  return out;
}

struct Outcome {
  std::string error;
  StartupFacts facts;
  bool done = false;
  uint64_t taken[2] = {0, 0};
  std::string held[2];
  bool operator==(const Outcome&) const = default;
};

void check(const Outcome& outcome) {
  if (!outcome.done || outcome.facts.tls != StartupTls::now) return;
  require(outcome.facts.tls_at == outcome.taken[0]);
  require(outcome.held[1].empty());
  require(outcome.held[0].empty() || outcome.held[0][0] == 0x16);
}

Outcome listen(StartupProtocol protocol, const std::vector<Said>& dialogue, size_t piece) {
  const auto parser = make_startup_parser(protocol);
  Outcome outcome;
  for (const auto& [speaker, bytes] : dialogue) {
    std::string& held = outcome.held[static_cast<size_t>(speaker)];
    for (size_t at = 0; at < bytes.size(); at += piece) {
      held += bytes.substr(at, piece);
      const std::string exact = held;  // on the heap, so that a read past the end is seen
      const auto taken = parser->feed(speaker, exact);
      if (!taken) return {.error = taken.error().message()};
      require(*taken <= held.size());
      held.erase(0, *taken);
      require(held.size() < kStartupMessageLimit || parser->done());
    }
  }
  outcome.facts = parser->facts();
  outcome.done = parser->done();
  for (const auto speaker : {Speaker::client, Speaker::server})
    outcome.taken[static_cast<size_t>(speaker)] = parser->taken(speaker);
  check(outcome);
  for (const auto* fact : {&outcome.facts.user, &outcome.facts.database, &outcome.facts.application,
                           &outcome.facts.server, &outcome.facts.host, &outcome.facts.path, &outcome.facts.mechanism})
    require(fact->size() <= kStartupValueLimit);
  return outcome;
}

void fuzz_guess(std::string_view bytes) {
  bytes = bytes.substr(0, 64);
  StartupGuess last{.need_more = true};
  for (size_t size = 0; size <= bytes.size(); ++size) {
    const auto guess = startup_by_first_bytes(std::string(bytes.substr(0, size)));
    require(last.need_more || (!guess.need_more && guess.protocol == last.protocol));
    require(!guess.need_more || !guess.protocol);
    last = guess;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto dialogue = dialogue_of(bytes);
  const auto protocol = static_cast<StartupProtocol>(data[0] % kStartupProtocols);
  const Outcome whole = listen(protocol, dialogue, SIZE_MAX / 2);
  require(whole == listen(protocol, dialogue, 1));
  require(whole == listen(protocol, dialogue, 5));
  fuzz_guess(dialogue.empty() ? bytes : dialogue[0].bytes);
  return 0;
}
