#include "egress/records.h"

#include <fmt/format.h>

#include <algorithm>

namespace stockade::egress {

namespace {

// A reader that met a value out of range: reading past its end is how it is told.
void spoil(WireReader& in) {
  while (in.ok() && !in.finished()) in.get<uint8_t>();
  in.get<uint8_t>();
}

bool read_flag(WireReader& in) {
  const auto value = in.get<uint8_t>();
  if (value > 1) spoil(in);
  return value == 1;
}

void write_address(WireWriter& out, const IpAddress& address) {
  out.put(static_cast<uint8_t>(address.is_v4() ? 4 : 6));
  for (const uint8_t byte : address.bytes()) out.put(byte);
}

IpAddress read_address(WireReader& in) {
  const auto family = in.get<uint8_t>();
  std::array<uint8_t, 16> bytes;
  for (uint8_t& byte : bytes) byte = in.get<uint8_t>();
  if (family == 6) return IpAddress::v6(bytes);
  if (family != 4) spoil(in);
  return IpAddress::v4(uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3]);
}

void write_endpoint(WireWriter& out, const Endpoint& endpoint) {
  write_address(out, endpoint.address);
  out.put(endpoint.port);
}

Endpoint read_endpoint(WireReader& in) {
  const IpAddress address = read_address(in);
  return Endpoint{address, in.get<uint16_t>()};
}

void write_destination(WireWriter& out, const Destination& to) {
  out.put(to.rule).put(std::string_view(to.host));
  write_address(out, to.address);
  out.put(to.port);
}

void read_destination(WireReader& in, Destination& to) {
  to.rule = in.get<int32_t>();
  to.host = in.get_string(kHostLimit);
  to.address = read_address(in);
  to.port = in.get<uint16_t>();
}

void write_names(WireWriter& out, const std::vector<std::string>& names) {
  const size_t count = std::min(names.size(), kAlpnNames);
  out.put(static_cast<uint8_t>(count));
  for (size_t i = 0; i < count; ++i) out.put(cut_text(names[i], kAlpnLimit));
}

void read_names(WireReader& in, std::vector<std::string>& names) {
  const auto count = in.get<uint8_t>();
  if (count > kAlpnNames) return spoil(in);
  for (uint8_t i = 0; i < count && in.ok(); ++i) names.push_back(in.get_string(kAlpnLimit));
}

}  // namespace

std::string Destination::subject() const {
  return host.empty() ? Endpoint{address, port}.to_string() : fmt::format("{}:{}", host, port);
}

std::string_view cut_text(std::string_view text, size_t limit) { return text.substr(0, limit); }

void write_record(WireWriter& out, const Notice& record) {
  out.put(record.seq).put(record.kind).put(record.decision).put(record.count).put(record.rule);
  out.put(static_cast<uint8_t>(record.by_deny_rule));
  out.put(cut_text(record.host, kHostLimit)).put(record.port);
  out.put(cut_text(record.subject, kSubjectLimit))
      .put(cut_text(record.reason, kReasonLimit))
      .put(cut_text(record.hint, kReasonLimit));
  const size_t entries = std::min(record.evidence.size(), kEvidenceEntries);
  out.put(static_cast<uint8_t>(entries));
  for (size_t i = 0; i < entries; ++i) {
    out.put(cut_text(record.evidence[i].first, kEvidenceKeyLimit));
    out.put(cut_text(record.evidence[i].second, kEvidenceValueLimit));
  }
}

void read_record(WireReader& in, Notice& record) {
  record.seq = in.get<uint64_t>();
  record.kind = in.get_enum(NoticeKind::session);
  record.decision = in.get_enum(NoticeDecision::ask);
  record.count = in.get<uint32_t>();
  record.rule = in.get<int32_t>();
  record.by_deny_rule = read_flag(in);
  record.host = in.get_string(kHostLimit);
  record.port = in.get<uint16_t>();
  record.subject = in.get_string(kSubjectLimit);
  record.reason = in.get_string(kReasonLimit);
  record.hint = in.get_string(kReasonLimit);
  const auto entries = in.get<uint8_t>();
  if (entries > kEvidenceEntries) return spoil(in);
  for (uint8_t i = 0; i < entries && in.ok(); ++i) {
    std::string key = in.get_string(kEvidenceKeyLimit);
    record.evidence.emplace_back(std::move(key), in.get_string(kEvidenceValueLimit));
  }
  // A count of 0, or so large that a sum could wrap, is nobody's honest event.
  if (record.count == 0 || record.count > 1'000'000) spoil(in);
}

void write_record(WireWriter& out, const Acked& record) {
  out.put(record.seq).put(record.event).put(static_cast<uint8_t>(record.proceed));
}
void read_record(WireReader& in, Acked& record) {
  record.seq = in.get<uint64_t>();
  record.event = in.get<uint64_t>();
  record.proceed = read_flag(in);
}

void write_record(WireWriter& out, const Answered& record) {
  out.put(record.seq).put(static_cast<uint8_t>(record.granted)).put(cut_text(record.reason, kReasonLimit));
}
void read_record(WireReader& in, Answered& record) {
  record.seq = in.get<uint64_t>();
  record.granted = read_flag(in);
  record.reason = in.get_string(kReasonLimit);
}

void write_record(WireWriter& out, const Listeners& record) { out.put(static_cast<uint8_t>(record.transparent)); }
void read_record(WireReader& in, Listeners& record) { record.transparent = read_flag(in); }

void write_record(WireWriter& out, const Dial& record) {
  out.put(record.flow);
  write_destination(out, record.to);
  write_endpoint(out, record.client);
  write_endpoint(out, record.original);
  out.put(static_cast<uint8_t>(record.sealed)).put(static_cast<uint8_t>(record.http2));
}
void read_record(WireReader& in, Dial& record) {
  record.flow = in.get<uint64_t>();
  read_destination(in, record.to);
  record.client = read_endpoint(in);
  record.original = read_endpoint(in);
  record.sealed = read_flag(in);
  record.http2 = read_flag(in);
}

void write_record(WireWriter& out, const Closed& record) {
  out.put(record.flow).put(static_cast<uint8_t>(record.abort));
}
void read_record(WireReader& in, Closed& record) {
  record.flow = in.get<uint64_t>();
  record.abort = read_flag(in);
}

void write_record(WireWriter& out, const Dialed& record) {
  out.put(record.flow).put(record.result).put(cut_text(record.reason, kReasonLimit));
}
void read_record(WireReader& in, Dialed& record) {
  record.flow = in.get<uint64_t>();
  record.result = in.get_enum(DialResult::limit);
  record.reason = in.get_string(kReasonLimit);
}

void write_record(WireWriter& out, const Admit& record) {
  out.put(record.flow);
  write_destination(out, record.to);
  write_endpoint(out, record.client);
  write_endpoint(out, record.original);
  out.put(static_cast<uint8_t>(record.new_name));
}
void read_record(WireReader& in, Admit& record) {
  record.flow = in.get<uint64_t>();
  read_destination(in, record.to);
  record.client = read_endpoint(in);
  record.original = read_endpoint(in);
  record.new_name = read_flag(in);
}

void write_record(WireWriter& out, const Admission& record) {
  out.put(record.flow).put(static_cast<uint8_t>(record.allowed)).put(cut_text(record.reason, kReasonLimit));
}
void read_record(WireReader& in, Admission& record) {
  record.flow = in.get<uint64_t>();
  record.allowed = read_flag(in);
  record.reason = in.get_string(kReasonLimit);
}

void write_record(WireWriter& out, const Traffic& record) {
  out.put(record.flow).put(record.out).put(record.in).put(static_cast<uint8_t>(record.ended));
}
void read_record(WireReader& in, Traffic& record) {
  record.flow = in.get<uint64_t>();
  record.out = in.get<uint64_t>();
  record.in = in.get<uint64_t>();
  record.ended = read_flag(in);
}

void write_record(WireWriter& out, const Cut& record) { out.put(record.flow); }
void read_record(WireReader& in, Cut& record) { record.flow = in.get<uint64_t>(); }

void write_record(WireWriter& out, const Seal& record) {
  out.put(record.flow);
  write_destination(out, record.to);
  write_names(out, record.alpn);
}
void read_record(WireReader& in, Seal& record) {
  record.flow = in.get<uint64_t>();
  read_destination(in, record.to);
  read_names(in, record.alpn);
}

void write_record(WireWriter& out, const SealFlow& record) {
  out.put(record.flow);
  write_names(out, record.alpn);
}
void read_record(WireReader& in, SealFlow& record) {
  record.flow = in.get<uint64_t>();
  read_names(in, record.alpn);
}

void write_record(WireWriter& out, const Sealed& record) {
  out.put(record.flow)
      .put(static_cast<uint8_t>(record.established))
      .put(cut_text(record.reason, kReasonLimit))
      .put(cut_text(record.alpn, kAlpnLimit));
}
void read_record(WireReader& in, Sealed& record) {
  record.flow = in.get<uint64_t>();
  record.established = read_flag(in);
  record.reason = in.get_string(kReasonLimit);
  record.alpn = in.get_string(kAlpnLimit);
}

void write_record(WireWriter& out, const AuthorityMade& record) {
  out.put(cut_text(record.certificate, kAuthorityLimit));
}
void read_record(WireReader& in, AuthorityMade& record) { record.certificate = in.get_string(kAuthorityLimit); }

}  // namespace stockade::egress
