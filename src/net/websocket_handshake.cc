#include "net/websocket_handshake.h"

#include <algorithm>
#include <bit>
#include <span>

namespace stockade::net {

namespace {

constexpr std::string_view kVersion = "13";
constexpr std::string_view kAcceptSalt = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
constexpr size_t kSubprotocolLimit = 32;
constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::unexpected<Error> refuse(std::string_view reason) { return fail(ErrorKind::protocol, "WebSocket: {}", reason); }

std::string base64(std::span<const uint8_t> bytes) {
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) group = group << 8 | (j < count ? bytes[i + j] : 0u);
    for (size_t j = 0; j < 4; ++j) out.push_back(j <= count ? kAlphabet[group >> (18 - 6 * j) & 63] : '=');
  }
  return out;
}

// SHA-1 (FIPS 180-4) serves as a check sum here, nothing else; OpenSSL's would be set up for it at every start.
std::array<uint8_t, 20> sha1(std::string message) {
  std::array<uint32_t, 5> state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  const uint64_t bits = uint64_t{message.size()} * 8;
  message.push_back('\x80');
  while (message.size() % 64 != 56) message.push_back('\0');
  for (int shift = 56; shift >= 0; shift -= 8) message.push_back(static_cast<char>(bits >> shift & 0xff));
  for (size_t at = 0; at < message.size(); at += 64) {
    std::array<uint32_t, 80> words{};
    for (size_t i = 0; i < 64; ++i) words[i / 4] = words[i / 4] << 8 | static_cast<uint8_t>(message[at + i]);
    for (size_t i = 16; i < 80; ++i)
      words[i] = std::rotl(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
    auto [a, b, c, d, e] = state;
    for (size_t i = 0; i < 80; ++i) {
      const uint32_t f = i < 20   ? (b & c) | (~b & d)
                         : i < 40 ? b ^ c ^ d
                         : i < 60 ? (b & c) | (b & d) | (c & d)
                                  : b ^ c ^ d;
      const uint32_t k = i < 20 ? 0x5a827999 : i < 40 ? 0x6ed9eba1 : i < 60 ? 0x8f1bbcdc : 0xca62c1d6;
      const uint32_t next = std::rotl(a, 5) + f + e + k + words[i];
      e = d;
      d = c;
      c = std::rotl(b, 30);
      b = a;
      a = next;
    }
    const std::array<uint32_t, 5> added = {a, b, c, d, e};
    for (size_t i = 0; i < 5; ++i) state[i] += added[i];
  }
  std::array<uint8_t, 20> out{};
  for (size_t i = 0; i < 20; ++i) out[i] = static_cast<uint8_t>(state[i / 4] >> (24 - 8 * (i % 4)));
  return out;
}

// 16 bytes in base64: 22 characters of which the last carries two bits, and "==".
bool is_key(std::string_view key) {
  if (key.size() != 24 || !key.ends_with("==")) return false;
  key.remove_suffix(2);
  return key.find_first_not_of(kAlphabet) == std::string_view::npos && std::string_view("AQgw").contains(key.back());
}

// All values of `name`, joined as one list (RFC 9110, section 5.3).
std::string joined(std::span<const HttpField> fields, std::string_view name) {
  std::string out;
  for (const HttpField& field : fields) {
    if (!equals_ignoring_case(field.name, name)) continue;
    if (!out.empty()) out += ", ";
    out += field.value;
  }
  return out;
}

Result<std::vector<std::string>> read_subprotocols(std::span<const HttpField> fields) {
  std::vector<std::string> names;
  if (count_fields(fields, "sec-websocket-protocol") == 0) return names;
  const std::string list = joined(fields, "sec-websocket-protocol");
  std::string_view rest = list;
  for (;;) {
    const auto comma = rest.find(',');
    auto name = rest.substr(0, comma);
    while (!name.empty() && (name.front() == ' ' || name.front() == '\t')) name.remove_prefix(1);
    while (!name.empty() && (name.back() == ' ' || name.back() == '\t')) name.remove_suffix(1);
    if (!is_token(name) || names.size() == kSubprotocolLimit) return refuse("a malformed list of subprotocols");
    if (std::find(names.begin(), names.end(), name) != names.end()) return refuse("a subprotocol offered twice");
    names.emplace_back(name);
    if (comma == std::string_view::npos) return names;
    rest.remove_prefix(comma + 1);
  }
}

Result<std::vector<WebSocketExtension>> read_extensions(std::span<const HttpField> fields) {
  if (count_fields(fields, "sec-websocket-extensions") == 0) return std::vector<WebSocketExtension>();
  return parse_websocket_extensions(joined(fields, "sec-websocket-extensions"));
}

Result<WebSocketOffer> read_offer(std::span<const HttpField> fields) {
  if (count_fields(fields, "sec-websocket-version") != 1 ||
      find_field(fields, "sec-websocket-version")->value != kVersion)
    return refuse("a version other than 13");
  if (count_fields(fields, "sec-websocket-accept") > 0) return refuse("Sec-WebSocket-Accept in a request");
  WebSocketOffer offer;
  STOCKADE_ASSIGN(offer.subprotocols, read_subprotocols(fields));
  STOCKADE_ASSIGN(offer.extensions, read_extensions(fields));
  return offer;
}

Result<WebSocketAgreement> read_answer(std::span<const HttpField> fields, const WebSocketOffer& offer,
                                       const std::optional<WebSocketDeflateParameters>& deflate) {
  WebSocketAgreement agreement;
  const size_t protocols = count_fields(fields, "sec-websocket-protocol");
  if (protocols > 1) return refuse("more than one subprotocol in an answer");
  if (protocols == 1) {
    agreement.subprotocol = find_field(fields, "sec-websocket-protocol")->value;
    const auto& offered = offer.subprotocols;
    if (std::find(offered.begin(), offered.end(), agreement.subprotocol) == offered.end())
      return refuse("a subprotocol that was not offered");
  }
  STOCKADE_ASSIGN(const auto extensions, read_extensions(fields));
  if (!extensions.empty() && !deflate) return refuse("an extension that was not offered");
  if (deflate) {
    STOCKADE_ASSIGN(agreement.deflate, read_deflate_answer(extensions, *deflate));
  }
  return agreement;
}

}  // namespace

bool asks_for_websocket(const RequestHead& head) { return equals_ignoring_case(head.upgrade, "websocket"); }

bool asks_for_websocket(const H2RequestHead& head) { return head.protocol == "websocket"; }

Result<WebSocketOffer> read_websocket_offer(const RequestHead& head) {
  if (!asks_for_websocket(head)) return refuse("a request that does not ask for one");
  if (head.method != "GET" || head.minor_version != 1) return refuse("a handshake that is not GET in HTTP/1.1");
  if (head.body.kind != BodyKind::none) return refuse("a handshake with a body");
  STOCKADE_ASSIGN(WebSocketOffer offer, read_offer(head.fields));
  if (count_fields(head.fields, "sec-websocket-key") != 1) return refuse("a handshake without its one key");
  offer.key = find_field(head.fields, "sec-websocket-key")->value;
  if (!is_key(offer.key)) return refuse("a key that is not 16 bytes in base64");
  return offer;
}

Result<WebSocketOffer> read_websocket_offer(const H2RequestHead& head) {
  if (!asks_for_websocket(head)) return refuse("a request that does not ask for one");
  // RFC 8441, section 5: key and Accept are not used; one that is there would mean something only behind a downgrade.
  if (count_fields(head.fields, "sec-websocket-key") > 0) return refuse("a key in HTTP/2");
  return read_offer(head.fields);
}

Result<WebSocketAgreement> read_websocket_answer(const ResponseHead& head, const WebSocketOffer& offer,
                                                 const std::optional<WebSocketDeflateParameters>& deflate) {
  if (head.status != 101 || !equals_ignoring_case(head.upgrade, "websocket"))
    return refuse("an answer that does not switch to it");
  if (count_fields(head.fields, "sec-websocket-accept") != 1 ||
      find_field(head.fields, "sec-websocket-accept")->value != websocket_accept(offer.key))
    return refuse("an Accept that does not belong to the key");
  return read_answer(head.fields, offer, deflate);
}

Result<WebSocketAgreement> read_websocket_answer(const H2ResponseHead& head, const WebSocketOffer& offer,
                                                 const std::optional<WebSocketDeflateParameters>& deflate) {
  if (head.status / 100 != 2) return refuse("an answer that does not switch to it");
  return read_answer(head.fields, offer, deflate);
}

std::string websocket_key(const std::array<uint8_t, 16>& random) { return base64(random); }

std::string websocket_accept(std::string_view key) { return base64(sha1(std::string(key).append(kAcceptSalt))); }

std::vector<HttpField> websocket_offer_fields(const WebSocketOffer& offer,
                                              const std::optional<WebSocketDeflateParameters>& deflate) {
  std::vector<HttpField> fields;
  if (!offer.key.empty()) {
    fields.push_back({"upgrade", "websocket"});
    fields.push_back({"connection", "Upgrade"});
    fields.push_back({"sec-websocket-key", offer.key});
  }
  fields.push_back({"sec-websocket-version", std::string(kVersion)});
  std::string names;
  for (const std::string& name : offer.subprotocols) names.append(names.empty() ? "" : ", ").append(name);
  if (!names.empty()) fields.push_back({"sec-websocket-protocol", names});
  if (deflate) fields.push_back({"sec-websocket-extensions", write_deflate_offer(*deflate)});
  return fields;
}

std::vector<HttpField> websocket_answer_fields(const WebSocketAgreement& agreement, std::string_view key) {
  std::vector<HttpField> fields;
  if (!key.empty()) {
    fields.push_back({"upgrade", "websocket"});
    fields.push_back({"connection", "Upgrade"});
    fields.push_back({"sec-websocket-accept", websocket_accept(key)});
  }
  if (!agreement.subprotocol.empty()) fields.push_back({"sec-websocket-protocol", agreement.subprotocol});
  if (agreement.deflate) fields.push_back({"sec-websocket-extensions", write_deflate_answer(*agreement.deflate)});
  return fields;
}

std::vector<HttpField> without_websocket_fields(const std::vector<HttpField>& fields) {
  static constexpr std::string_view kNames[] = {"upgrade",
                                                "connection",
                                                "sec-websocket-key",
                                                "sec-websocket-accept",
                                                "sec-websocket-version",
                                                "sec-websocket-protocol",
                                                "sec-websocket-extensions"};
  std::vector<HttpField> kept;
  for (const HttpField& field : fields) {
    const bool handshake = std::any_of(std::begin(kNames), std::end(kNames),
                                       [&](std::string_view name) { return equals_ignoring_case(field.name, name); });
    if (!handshake) kept.push_back(field);
  }
  return kept;
}

}  // namespace stockade::net
