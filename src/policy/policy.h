// Policy: what a person allowed, as one plain value. load.h makes it from YAML (every error of a file at once, with
// file:line:column), layer.h folds presets and ceilings into it, decision.h judges with it. Nothing here touches the
// system. Each value that a refusal may quote keeps the place where it was written.
//
// Absent lists grant nothing unless a comment says otherwise (docs/policy.md has the defaults in one table).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip_address.h"

namespace stockade::policy {

// Where a value was written. A preset's file is "preset:NAME"; built-in values have an empty file.
struct Location {
  std::string file;
  int line = 0;    // from 1
  int column = 0;  // from 1
  std::string to_string() const;
};

// From weakest to strongest: deny beats ask beats allow. (design: rule 8)
enum class Action { allow, log, ask, redact, deny, pause, kill };

// ---- run ------------------------------------------------------------------------------------------------------------
struct Run {
  std::vector<std::string> command;
  std::optional<std::string> workdir;  // inside
};

// ---- wall 1: tools
// ---------------------------------------------------------------------------------------------------
struct Programs {
  std::optional<std::vector<std::string>> allow;  // absent: any program that is visible
  Location where;
};

// ---- wall 2: sandbox
// -------------------------------------------------------------------------------------------------
enum class Strictness { polled, hard };
enum class ProcView { normal, minimal };

struct PassedVariable {
  std::string name;
  std::string reason;  // required for a name that looks like a credential
  Location where;
};
struct SetVariable {
  std::string name;
  std::string value;
  Location where;
};
struct Environment {
  std::vector<PassedVariable> pass;
  std::vector<SetVariable> set;
  bool proxy = false;  // CONNECT and SOCKS5 listeners and the proxy variables
};

struct Sandbox {
  std::optional<uint64_t> memory;      // bytes; absent: half of the machine's
  std::optional<double> cpus;          // absent: all
  std::optional<uint64_t> pids;        // absent: 4096; threads count
  std::optional<uint64_t> disk;        // bytes; absent: 10 GiB in the run's state
  std::optional<uint64_t> inodes;      // absent: one for each 16 KiB of disk
  std::optional<uint64_t> open_files;  // RLIMIT_NOFILE, clamped to the current hard limit
  std::optional<uint64_t> file_size;   // RLIMIT_FSIZE, bytes
  Strictness strictness = Strictness::polled;
  ProcView proc = ProcView::normal;
  std::optional<uint32_t> uid;  // inside; absent: the person's own, 1000 for root
  std::optional<uint32_t> gid;
  Environment env;
  Location where;
};

// ---- wall 3: network
// -------------------------------------------------------------------------------------------------
enum class Protocol { automatic, tls, http, tcp };
// Protocols that `protocol` may name beside these; such a rule is one of tcp.
inline constexpr std::string_view kPlainProtocols[] = {"postgresql", "mysql", "redis", "mongodb", "smtp",
                                                       "imap",       "pop3",  "ftp",   "ldap",    "xmpp",
                                                       "ssh",        "git",   "amqp",  "mqtt",    "nats"};
// Stricter upwards. Unset: no TLS is expected (http), or it is opened where it begins (tcp).
enum class TlsMode { unset, passthrough, inspect };

struct PortRange {
  uint16_t first = 0;
  uint16_t last = 0;
};

// What a rule lets GraphQL run: kinds of operation ("query", "mutation", "subscription") and top-level fields.
struct GraphqlLimit {
  std::vector<std::string> operations;  // empty: any
  std::vector<std::string> fields;      // empty: any
  bool operator==(const GraphqlLimit&) const = default;
};

std::string to_string(const GraphqlLimit& limit);  // "GraphQL: query, with the fields viewer and login"

// One entry of network.allow or network.deny: by name (exact or "*.suffix": one or more labels) or by address.
struct NetworkRule {
  std::string host;                     // lower case, punycode, no trailing dot; empty for an address rule
  std::optional<Cidr> address;          // set for an address rule
  std::vector<PortRange> ports;         // allow: absent in the file means 443; deny: absent means every port
  std::vector<std::string> methods;     // empty: any
  std::vector<std::string> paths;       // globs; empty: any
  std::optional<GraphqlLimit> graphql;  // then nothing but such GraphQL
  Protocol protocol = Protocol::automatic;
  std::string speaks;                 // protocol tcp: one of kPlainProtocols; empty: by port, else by first bytes
  TlsMode tls = TlsMode::unset;       // protocol tcp: unset is inspect
  std::vector<std::string> programs;  // empty: any
  std::vector<Cidr> addresses;        // otherwise forbidden ranges into which this name may resolve
  bool ask = false;
  Location where;

  std::string subject() const;  // "api.openai.com" or "192.0.2.0/24"
};

// What is done about what content shows, from nothing to the refusal of the message.
enum class InspectionLevel { off, log, redact, ask, deny };
std::string_view to_string(InspectionLevel level);
std::string_view to_string(Action action);

// Of what can be read: plain HTTP, TLS that is opened, and other protocols that are not passed through.
struct Inspection {
  std::optional<InspectionLevel> secrets;       // on their way out; absent: deny
  std::optional<InspectionLevel> injection;     // orders to the model in what comes back; absent: deny
  std::optional<InspectionLevel> fetched_urls;  // in requests, that the receiver will fetch; absent: deny
  std::optional<InspectionLevel> exfiltration;  // that no pattern shows, in numbers; absent: log
  Location where;
};

struct Network {
  bool present = false;
  std::vector<NetworkRule> allow;
  std::vector<NetworkRule> deny;
  std::optional<Endpoint> resolver;  // absent: the host's
  Inspection inspect;
  std::vector<std::string> trust;  // absolute paths of further CA files, for servers whose TLS is opened
  Location where;                  // of the section; empty when no layer has one
};

// ---- wall 4: files
// ---------------------------------------------------------------------------------------------------
enum class Access { read, write, write_only, hide };

struct FileRule {
  std::string host;  // absolute and normalised (hide: a glob, absolute or beginning with "**/")
  std::string at;    // inside, absolute; empty for hide
  Access access = Access::read;
  bool exec = false;    // with programs.allow, writable and data mounts are noexec unless this says otherwise
  bool bridge = false;  // one path may be written by one part and read by another
  std::vector<std::string> sockets;  // host sockets below this entry that may be connected to
  std::string reason;                // required for broad or sensitive places
  Location where;
};

// ---- wall 5: limits
// --------------------------------------------------------------------------------------------------
inline constexpr std::chrono::milliseconds kDefaultApprovalTime = std::chrono::minutes(5);

struct Limits {
  std::optional<std::chrono::milliseconds> time;
  std::optional<uint64_t> requests;
  std::optional<uint64_t> connections;
  std::optional<uint64_t> names;  // new names that may be asked of the resolver
  std::optional<uint64_t> bytes_out;
  std::optional<uint64_t> denials;  // different refusals; equal ones fold
  std::optional<std::chrono::milliseconds> approval;  // what asks a person waits so long, then it is denied
  Location where;
};

// ---- tests
// -----------------------------------------------------------------------------------------------------------
enum class TestSubject { connect, read, write, exec };
struct Test {
  TestSubject subject = TestSubject::connect;
  std::string value;  // "evil.example:443", a path, a program
  Action expect = Action::deny;
  Location where;
};

struct Policy {
  std::string name;
  std::vector<std::string> sources;  // files and presets that it was made of, outermost last
  Run run;
  Programs programs;
  Sandbox sandbox;
  Network network;
  std::vector<FileRule> files;
  Location files_where;
  Limits limits;
  std::vector<Test> tests;
};

}  // namespace stockade::policy
