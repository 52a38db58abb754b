#include "egress/content_filters.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "egress/coded_body.h"
#include "egress/grpc_filter.h"
#include "egress/http_judge.h"
#include "egress/injection_filter.h"
#include "egress/request_body_judge.h"
#include "policy/decision.h"

namespace stockade::egress {

namespace {

enum class Readable { text, unknown, no };

// The type without its parameters, in lower case.
std::string media_type(const std::vector<net::HttpField>& fields) {
  const net::HttpField* field = net::find_field(fields, "content-type");
  if (!field) return {};
  std::string_view type = field->value;
  type = type.substr(0, type.find(';'));
  while (type.ends_with(' ') || type.ends_with('\t')) type.remove_suffix(1);
  return net::lower_case(type);
}

bool contains_any(std::string_view text, std::initializer_list<std::string_view> parts) {
  return std::ranges::any_of(parts, [&](std::string_view part) { return text.find(part) != std::string_view::npos; });
}

Readable readable(std::string_view type) {
  if (type.starts_with("text/") ||
      contains_any(type, {"json", "xml", "javascript", "ecmascript", "yaml", "toml", "graphql", "urlencoded"}))
    return Readable::text;
  if (type.starts_with("image/") || type.starts_with("video/") || type.starts_with("audio/") ||
      type.starts_with("font/") || contains_any(type, {"zip", "x-tar", "x-xz", "zstd", "wasm", "java-archive", "pdf"}))
    return Readable::no;
  return Readable::unknown;
}

std::optional<inspect::TextFormat> format_of(std::string_view type) {
  if (contains_any(type, {"html"})) return inspect::TextFormat::html;
  if (contains_any(type, {"markdown"})) return inspect::TextFormat::markdown;
  if (contains_any(type, {"json"})) return inspect::TextFormat::json;
  if (contains_any(type, {"javascript", "ecmascript", "css"})) return inspect::TextFormat::code;
  return std::nullopt;
}

ContentFinding unreadable(const Error& why, bool stops) {
  ContentFinding finding;
  finding.reason = fmt::format("its body can't be read: {}", why.message());
  finding.hint = "what can't be read can't be judged";
  finding.stops = stops;
  return finding;
}

// Several fields are one list (RFC 9110, section 5.3).
std::string joined(const std::vector<net::HttpField>& fields, std::string_view name) {
  std::string value;
  for (const net::HttpField& field : fields) {
    if (!net::equals_ignoring_case(field.name, name)) continue;
    if (!value.empty()) value += ", ";
    value += field.value;
  }
  return value;
}

// `filter` over the text under the body's content coding.
Filtering over_text(std::unique_ptr<BodyFilter> filter, const std::vector<net::HttpField>& fields, bool stops) {
  Filtering filtering;
  auto codings = net::parse_content_codings(joined(fields, "content-encoding"));
  if (!codings) {
    filtering.findings.push_back(unreadable(codings.error(), stops));
    return filtering;
  }
  if (codings->empty()) {
    filtering.filter = std::move(filter);
    return filtering;
  }
  auto decoder = net::ContentDecoder::make(*codings);
  if (decoder)
    filtering.filter = under_coding(std::move(*decoder), std::move(filter));
  else
    filtering.findings.push_back(unreadable(decoder.error(), stops));
  return filtering;
}

// Nobody can be asked about what nobody can read.
bool stops_unread(policy::InspectionLevel level) { return level != policy::InspectionLevel::log; }

MessageJudge::Means outbound(Inspector& inspector) {
  MessageJudge::Means means;
  if (inspector.searches()) means.secrets = inspector.guard();
  means.secrets_level = policy::secrets_level(inspector.network());
  return means;
}

MessageJudge::Means inbound(Inspector& inspector) {
  MessageJudge::Means means;
  if (policy::inspects_injection(inspector.network())) means.injection = inspector.injection();
  means.stops_injection = policy::injection_level(inspector.network()) == policy::InspectionLevel::deny;
  return means;
}

}  // namespace

Result<void> prepare_upgrade(net::RequestHead& head) { return limit_websocket_offer(head); }

Result<WebSocketFilters> tunnel_filtering(Inspector& inspector, const net::RequestHead& request,
                                          const net::ResponseHead& response) {
  return websocket_filters(request, response, outbound(inspector), inbound(inspector));
}

Filtering request_filtering(Inspector& inspector, const Destination& to, net::RequestHead& head,
                            std::shared_ptr<ModelCall> call) {
  const MessageJudge::Means out = outbound(inspector), in = inbound(inspector);
  if (is_grpc(head.fields) && (out.secrets || in.injection)) return {grpc_filter(head.fields, out), {}};
  std::unique_ptr<BodyFilter> filter;
  if (out.secrets) filter = secret_filter(*out.secrets, out.secrets_level);
  filter = chain(std::move(filter), request_body_judge(inspector.network(), to, head));
  if ((out.secrets || in.injection) && head.method == "POST" &&
      media_type(head.fields).find("json") != std::string::npos)
    filter = chain(std::move(filter), model_request_filter(head, std::move(call), {in, &inspector.judged_texts()}));
  if (!filter) return {};
  const bool stops = out.secrets ? stops_unread(out.secrets_level) : in.injection && in.stops_injection;
  return over_text(std::move(filter), head.fields, stops || has_request_limits(inspector.network(), to));
}

namespace {

// Its filter edits, so what passes is the text itself.
Filtering model_filtering(const ModelCall& call, net::ResponseHead& head, MessageJudge::Means means) {
  const net::HttpField* type = net::find_field(head.fields, "content-type");
  auto filter = model_response_filter(call, type ? type->value : "", means);
  auto codings = net::parse_content_codings(joined(head.fields, "content-encoding"));
  Result<net::ContentDecoder> decoder = codings ? net::ContentDecoder::make(*codings) : std::unexpected(codings.error());
  Filtering filtering;
  if (codings && codings->empty()) {
    filtering.filter = std::move(filter);
  } else if (!decoder) {
    filtering.findings.push_back(unreadable(decoder.error(), stops_unread(means.secrets_level)));
  } else {
    std::erase_if(head.fields, [](const net::HttpField& field) {
      return net::equals_ignoring_case(field.name, "content-encoding");
    });
    filtering.filter = chain(without_coding(std::move(*decoder)), std::move(filter));
  }
  return filtering;
}

}  // namespace

Filtering response_filtering(Inspector& inspector, const ModelCall& call, net::ResponseHead& head) {
  const MessageJudge::Means out = outbound(inspector);
  const bool answers = head.status / 100 == 2 && !call.counts_only && !call.streams_binary;
  if (call.api != model::Api::none) return answers && out.secrets ? model_filtering(call, head, out) : Filtering{};
  if (!policy::inspects_injection(inspector.network())) return {};
  if (is_grpc(head.fields)) return {grpc_filter(head.fields, inbound(inspector)), {}};
  const std::string type = media_type(head.fields);
  const Readable kind = readable(type);
  if (kind == Readable::no) return {};
  const inspect::InjectionDetector* detector = inspector.injection();
  if (!detector) return {};
  const bool stops = policy::injection_level(inspector.network()) == policy::InspectionLevel::deny;
  InjectionOptions options;
  options.format = format_of(type);
  options.may_be_binary = kind == Readable::unknown;
  options.events = type == "text/event-stream";
  options.stops = stops;
  // A part of a coded body has no beginning to decode from.
  const bool part = head.status == 206 && !joined(head.fields, "content-encoding").empty();
  if (!part) return over_text(injection_filter(*detector, options), head.fields, stops);
  Filtering filtering;
  filtering.findings.push_back(unreadable(Error(ErrorKind::unavailable, "a part of a compressed body"), false));
  return filtering;
}

void limit_accepted_codings(std::vector<net::HttpField>& fields) {
  static constexpr std::array<std::string_view, 6> kReadable = {"gzip", "x-gzip", "deflate", "br", "zstd", "identity"};
  for (net::HttpField& field : fields) {
    if (!net::equals_ignoring_case(field.name, "accept-encoding")) continue;
    std::string kept;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      std::string_view item = rest.substr(0, rest.find(','));
      rest.remove_prefix(std::min(item.size() + 1, rest.size()));
      const size_t first = item.find_first_not_of(" \t");
      if (first == std::string_view::npos) continue;
      item.remove_prefix(first);
      const std::string name = net::lower_case(item.substr(0, item.find_first_of("; \t")));
      if (std::ranges::find(kReadable, name) == kReadable.end()) continue;
      if (!kept.empty()) kept += ", ";
      kept += item;
    }
    field.value = kept.empty() ? "identity" : kept;
  }
}

void prepare_for_edits(std::vector<net::HttpField>& fields, net::BodyFraming& body, int minor_version) {
  static constexpr std::array<std::string_view, 6> kOfTheBytes = {"content-length", "content-md5",   "digest",
                                                                  "content-digest", "repr-digest", "accept-ranges"};
  std::erase_if(fields, [](const net::HttpField& field) {
    return std::ranges::find(kOfTheBytes, net::lower_case(field.name)) != kOfTheBytes.end();
  });
  if (body.kind != net::BodyKind::length) return;
  if (minor_version == 0) {
    body = {net::BodyKind::until_close, 0};
    return;
  }
  body = {net::BodyKind::chunked, 0};
  fields.push_back({"transfer-encoding", "chunked"});
}

}  // namespace stockade::egress
