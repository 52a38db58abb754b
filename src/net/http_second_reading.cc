#include "net/http_second_reading.h"

#include <llhttp.h>

#include "net/http1.h"

namespace stockade::net {

namespace {

// What llhttp saw. Every callback returns 0; the end of the head pauses the parser.
struct Reading {
  std::string url;
  std::vector<HttpField> fields;
  bool in_value = true;
  bool complete = false;
  bool chunked = false;
  bool has_length = false;
  uint64_t length = 0;

  static Reading& of(llhttp_t* parser) { return *static_cast<Reading*>(parser->data); }
};

int on_url(llhttp_t* parser, const char* at, size_t size) {
  Reading::of(parser).url.append(at, size);
  return 0;
}

int on_field(llhttp_t* parser, const char* at, size_t size) {
  Reading& reading = Reading::of(parser);
  if (reading.in_value) reading.fields.emplace_back();
  reading.in_value = false;
  reading.fields.back().name.append(at, size);
  return 0;
}

int on_value(llhttp_t* parser, const char* at, size_t size) {
  Reading& reading = Reading::of(parser);
  reading.in_value = true;
  if (!reading.fields.empty()) reading.fields.back().value.append(at, size);
  return 0;
}

int on_head(llhttp_t* parser) {
  Reading& reading = Reading::of(parser);
  reading.complete = true;
  reading.chunked = (parser->flags & F_CHUNKED) != 0;
  reading.has_length = (parser->flags & F_CONTENT_LENGTH) != 0;
  reading.length = parser->content_length;
  return HPE_PAUSED;
}

llhttp_settings_t make_settings() {
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  settings.on_url = on_url;
  settings.on_header_field = on_field;
  settings.on_header_value = on_value;
  settings.on_headers_complete = on_head;
  return settings;
}

Result<void> read(llhttp_t& parser, llhttp_type_t type, std::string_view text, Reading& reading) {
  static const llhttp_settings_t settings = make_settings();
  llhttp_init(&parser, type, &settings);
  parser.data = &reading;
  const auto error = llhttp_execute(&parser, text.data(), text.size());
  if (error != HPE_PAUSED || !reading.complete)
    return fail(ErrorKind::protocol, "a head that another parser refuses ({})",
                llhttp_get_error_reason(&parser) ? llhttp_get_error_reason(&parser) : "incomplete");
  return {};
}

std::string_view without_trailing_space(std::string_view text) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool same_fields(const std::vector<HttpField>& ours, const std::vector<HttpField>& theirs) {
  if (ours.size() != theirs.size()) return false;
  for (size_t i = 0; i < ours.size(); ++i)
    if (ours[i].name != theirs[i].name || ours[i].value != without_trailing_space(theirs[i].value)) return false;
  return true;
}

// `length` is what our reading of Content-Length is worth: absent and 0 are the same to a body of nothing.
bool same_framing(const std::vector<HttpField>& fields, const Reading& reading) {
  const HttpField* length = find_field(fields, "content-length");
  if ((find_field(fields, "transfer-encoding") != nullptr) != reading.chunked) return false;
  if ((length != nullptr) != reading.has_length) return false;
  return length == nullptr || length->value == std::to_string(reading.length);
}

std::unexpected<Error> differs(std::string_view what) {
  return fail(ErrorKind::protocol, "a head whose {} another parser reads differently", what);
}

}  // namespace

Result<void> confirm_request(std::string_view text, const RequestHead& head) {
  llhttp_t parser;
  Reading reading;
  STOCKADE_TRY(read(parser, HTTP_REQUEST, text, reading));
  if (head.method != llhttp_method_name(static_cast<llhttp_method_t>(parser.method))) return differs("method");
  if (parser.http_major != 1 || parser.http_minor != head.minor_version) return differs("version");
  if (reading.url != head.target) return differs("target");
  if (!same_fields(head.fields, reading.fields)) return differs("fields");
  if (!same_framing(head.fields, reading)) return differs("body's length");
  return {};
}

Result<void> confirm_response(std::string_view text, const ResponseHead& head) {
  llhttp_t parser;
  Reading reading;
  STOCKADE_TRY(read(parser, HTTP_RESPONSE, text, reading));
  if (parser.http_major != 1 || parser.http_minor != head.minor_version) return differs("version");
  if (parser.status_code != head.status) return differs("status");
  if (!same_fields(head.fields, reading.fields)) return differs("fields");
  if (!same_framing(head.fields, reading)) return differs("body's length");
  return {};
}

}  // namespace stockade::net
