// What inspector, dialer and supervisor say to each other: small records of fixed shape, several to a message
// (channel.h). Every string has a bound and every number a range, so that a process that was taken over can make its
// peer neither read past a message nor keep more than a few kilobytes for each record. A record that does not decode
// is a protocol error, and the run ends.
//
//   inspector → supervisor  notice, drained, authority   supervisor → inspector  acked, answered, listeners, drain
//   inspector → dialer      dial, seal_flow, closed   dialer → inspector      dialed (+ the connected descriptor)
//   dialer → sealer         seal (+ the connected descriptor)   sealer → inspector  sealed (+ the plain side)
//   dialer → supervisor     admit, notice, traffic supervisor → dialer    admission, acked, cut
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/ip_address.h"
#include "base/wire.h"

namespace stockade::egress {

enum class RecordType : uint8_t {
  notice,
  acked,
  listeners,
  dial,
  closed,
  dialed,
  admit,
  admission,
  traffic,
  cut,
  drain,
  drained,
  seal,
  sealed,
  authority,
  seal_flow,
  answered,
};
inline constexpr RecordType kLastRecord = RecordType::answered;

inline constexpr size_t kHostLimit = 253;
inline constexpr size_t kSubjectLimit = 400;
inline constexpr size_t kReasonLimit = 600;
inline constexpr size_t kEvidenceKeyLimit = 32;
inline constexpr size_t kEvidenceValueLimit = 1024;
inline constexpr size_t kEvidenceEntries = 8;
inline constexpr size_t kAlpnLimit = 32;
inline constexpr size_t kAlpnNames = 8;
inline constexpr size_t kAuthorityLimit = 4096;

enum class NoticeKind : uint8_t { connect, request, name, datagram, upstream, session };
enum class NoticeDecision : uint8_t { allow, deny, log, ask };

// A decision that must be in the log before it takes effect. The supervisor fills in the rule's text and place from
// its own policy; `rule` is only an index into it.
struct Notice {
  static constexpr RecordType kType = RecordType::notice;
  uint64_t seq = 0;  // counts up from 1 in each worker
  NoticeKind kind = NoticeKind::connect;
  NoticeDecision decision = NoticeDecision::deny;
  uint32_t count = 1;
  int32_t rule = -1;
  bool by_deny_rule = false;
  std::string host;  // canonical name or address, may be empty
  uint16_t port = 0;
  std::string subject;
  std::string reason;
  std::string hint;  // what would allow it
  std::vector<std::pair<std::string, std::string>> evidence;
};

// One for each notice, in their order: it is in the log.
struct Acked {
  static constexpr RecordType kType = RecordType::acked;
  uint64_t seq = 0;
  uint64_t event = 0;   // its number there
  bool proceed = true;  // false: the run has ended (this very event may have passed a limit), nothing is let through
};

// What was decided about a notice that asked; after its acknowledgement or before, and in any order.
struct Answered {
  static constexpr RecordType kType = RecordType::answered;
  uint64_t seq = 0;
  bool granted = false;
  std::string reason;  // who or what decided
};

// Comes with the descriptors of net::TransparentListeners, in their order; or with one explicit listener.
struct Listeners {
  static constexpr RecordType kType = RecordType::listeners;
  bool transparent = true;
};

// To whom, and by which rule. A name, or an address that no name is bound to.
struct Destination {
  int32_t rule = -1;
  std::string host;     // canonical; empty: by address
  IpAddress address{};  // only without a host
  uint16_t port = 0;

  std::string subject() const;  // "api.example:443", "192.0.2.1:443"
};

struct Dial {
  static constexpr RecordType kType = RecordType::dial;
  uint64_t flow = 0;
  Destination to;
  Endpoint client;      // the agent's end of the connection
  Endpoint original;    // and what it connected to: together the 4-tuple that names the program
  bool sealed = false;  // TLS towards the server: the descriptor goes to the sealer
  bool http2 = false;   // which offers HTTP/2 there
};

// The sealer is to speak TLS with whoever answers at `to`, which must prove to be that. Comes from the dialer, so that
// an inspector that was taken over can't have another name verified.
struct Seal {
  static constexpr RecordType kType = RecordType::seal;
  uint64_t flow = 0;
  Destination to;
  std::vector<std::string> alpn{};  // what is offered, best first; at most kAlpnNames, each of at most kAlpnLimit
};

// A plain connection that the dialer made earlier goes on inside TLS (STARTTLS): its descriptor, of which the dialer
// has a duplicate, goes to the sealer. Once for each flow, and only by a rule whose bytes are read; answered by
// `dialed` and `sealed`, like a sealed dial.
struct SealFlow {
  static constexpr RecordType kType = RecordType::seal_flow;
  uint64_t flow = 0;
  std::vector<std::string> alpn;  // as the client offered them
};

struct Sealed {
  static constexpr RecordType kType = RecordType::sealed;
  uint64_t flow = 0;
  bool established = false;
  std::string reason;  // when it is not
  std::string alpn;
};

// The certificate of the run's own authority (PEM), once, before anything else.
struct AuthorityMade {
  static constexpr RecordType kType = RecordType::authority;
  std::string certificate;
};

struct Closed {
  static constexpr RecordType kType = RecordType::closed;
  uint64_t flow = 0;
  bool abort = false;  // the agent's end was reset: so is the other
};

enum class DialResult : uint8_t { connected, denied, failed, limit };

struct Dialed {
  static constexpr RecordType kType = RecordType::dialed;
  uint64_t flow = 0;
  DialResult result = DialResult::failed;
  std::string reason;
};

struct Admit {
  static constexpr RecordType kType = RecordType::admit;
  uint64_t flow = 0;
  Destination to;
  Endpoint client;
  Endpoint original;
  bool new_name = false;  // a name that the resolver has not been asked for in this run
};

struct Admission {
  static constexpr RecordType kType = RecordType::admission;
  uint64_t flow = 0;
  bool allowed = false;
  std::string reason;
};

// Bytes since the last record of this flow.
struct Traffic {
  static constexpr RecordType kType = RecordType::traffic;
  uint64_t flow = 0;
  uint64_t out = 0;
  uint64_t in = 0;
  bool ended = false;
};

// Ends one flow, or every flow (flow 0).
struct Cut {
  static constexpr RecordType kType = RecordType::cut;
  uint64_t flow = 0;
};

// The sandbox is gone: accept and log what it still left in the listeners' queues, then answer `drained`.
struct Drain {
  static constexpr RecordType kType = RecordType::drain;
};
struct Drained {
  static constexpr RecordType kType = RecordType::drained;
};

void write_record(WireWriter& out, const Notice& record);
void write_record(WireWriter& out, const Acked& record);
void write_record(WireWriter& out, const Answered& record);
void write_record(WireWriter& out, const Listeners& record);
void write_record(WireWriter& out, const Dial& record);
void write_record(WireWriter& out, const Closed& record);
void write_record(WireWriter& out, const Dialed& record);
void write_record(WireWriter& out, const Admit& record);
void write_record(WireWriter& out, const Admission& record);
void write_record(WireWriter& out, const Traffic& record);
void write_record(WireWriter& out, const Cut& record);
void write_record(WireWriter& out, const Seal& record);
void write_record(WireWriter& out, const Sealed& record);
void write_record(WireWriter& out, const AuthorityMade& record);
void write_record(WireWriter& out, const SealFlow& record);
inline void write_record(WireWriter&, const Drain&) {}
inline void write_record(WireWriter&, const Drained&) {}

// Each reads the fields after the type; a field out of range leaves the reader not ok().
void read_record(WireReader& in, Notice& record);
void read_record(WireReader& in, Acked& record);
void read_record(WireReader& in, Answered& record);
void read_record(WireReader& in, Listeners& record);
void read_record(WireReader& in, Dial& record);
void read_record(WireReader& in, Closed& record);
void read_record(WireReader& in, Dialed& record);
void read_record(WireReader& in, Admit& record);
void read_record(WireReader& in, Admission& record);
void read_record(WireReader& in, Traffic& record);
void read_record(WireReader& in, Cut& record);
void read_record(WireReader& in, Seal& record);
void read_record(WireReader& in, Sealed& record);
void read_record(WireReader& in, AuthorityMade& record);
void read_record(WireReader& in, SealFlow& record);

template <typename Record>
Result<Record> decoded(WireReader& in) {
  Record record;
  read_record(in, record);
  if (!in.ok()) return fail(ErrorKind::protocol, "a malformed record");
  return record;
}

// At most `limit` bytes of `text`, for a field of a record.
std::string_view cut_text(std::string_view text, size_t limit);

}  // namespace stockade::egress
