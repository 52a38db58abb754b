// HTTP/2, both sides: the same bytes give the same events, the same output and the same end however they are cut. A
// head that is accepted can be written again, and written as HTTP/1 it is the same one request.
//
// covers: src/net/http2_frame_meter.cc src/net/http2_session.cc src/net/http2_callbacks.cc src/net/http2_head.cc
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "net/http2_convert.h"
#include "net/http2_fixture.h"

namespace {

using namespace stockade;
using namespace stockade::net;
using namespace stockade::net::http2_fixture;

void require(bool condition) {
  if (!condition) std::abort();
}

std::string text_of(const std::vector<HttpField>& fields) {
  std::string out;
  for (const HttpField& field : fields) out += field.name + "=" + field.value + "\n";
  return out;
}

struct Run {
  std::string events;                     // all but the bodies
  std::map<int32_t, std::string> bodies;  // whose pieces depend on the cut
  std::string error, output;
  std::set<int32_t> complete;  // streams whose message has ended

  // How much of a body came before a fault in it was seen depends on the cut; a complete one is the same.
  bool agrees_with(Run& other) {
    if (events != other.events || error != other.error || output != other.output) return false;
    for (const auto& [stream, body] : bodies) {
      const std::string& same = other.bodies[stream];
      if (complete.contains(stream) ? same != body : !same.starts_with(body) && !body.starts_with(same)) return false;
    }
    return true;
  }
};

void check_request(const H2RequestHead& head, bool ends) {
  const H2HeadRules rules{.scheme = {}, .connect = true, .extended_connect = true};
  const auto fields = write_h2_request(head, rules);
  require(fields.has_value());
  const auto again = parse_h2_request(*fields, rules);
  require(again && again->path == head.path && again->authority == head.authority && again->method == head.method);
  const auto one = to_h1(head, ends);
  if (!one) return;
  require(one->method == head.method && (one->form == TargetForm::authority || one->target == head.path));
  require(count_fields(one->fields, "host") == 1);
  require(!(one->body.kind == BodyKind::chunked && head.content_length));
  const auto back = to_h2(*one, head.scheme);
  require(back && back->path == head.path && back->content_length.value_or(0) == head.content_length.value_or(0));
}

void check_response(const H2ResponseHead& head, bool ends) {
  require(write_h2_response(head).has_value());
  if (const auto one = to_h1(head, "GET", ends, 1)) require(one->status == head.status);
}

void take(Run& run, const std::vector<H2Event>& events) {
  for (const H2Event& event : events) {
    if (const auto* request = std::get_if<H2Request>(&event)) {
      run.events += "request " + std::to_string(request->stream) + request->head.path + text_of(request->head.fields);
      check_request(request->head, request->ends);
    } else if (const auto* response = std::get_if<H2Response>(&event)) {
      run.events += "response " + std::to_string(response->head.status) + text_of(response->head.fields);
      check_response(response->head, response->ends);
    } else if (const auto* body = std::get_if<H2Body>(&event)) {
      run.bodies[body->stream] += body->bytes;
    } else if (const auto* trailers = std::get_if<H2Trailers>(&event)) {
      run.events += "trailers " + text_of(trailers->fields);
    } else if (const auto* end = std::get_if<H2End>(&event)) {
      run.events += "end " + std::to_string(end->stream);
      run.complete.insert(end->stream);
    } else if (const auto* reset = std::get_if<H2Reset>(&event)) {
      run.events += "reset " + std::to_string(reset->stream) + h2_code_name(reset->code).data() + reset->reason;
    } else if (std::holds_alternative<H2GoAway>(event)) {
      run.events += "go away ";
    }
  }
}

Run run(H2Session& session, std::string_view bytes, size_t piece) {
  Run result;
  while (!bytes.empty()) {
    const std::string exact(bytes.substr(0, piece));
    bytes.remove_prefix(exact.size());
    const auto fed = session.feed(exact);
    take(result, session.take_events());
    if (!fed) {
      result.error = fed.error().message();
      break;
    }
  }
  result.output = session.take_output();
  require(session.failed() == !result.error.empty());
  require(session.open_streams() <= 128 || session.failed());
  return result;
}

Run run(uint8_t mode, std::string_view bytes, size_t piece) {
  H2Options options;
  options.rules.extended_connect = (mode & 2) != 0;
  options.rules.connect = (mode & 4) != 0;
  options.floods.pings = 10;
  options.header_list_size = 2000;
  options.field_count = 20;
  if ((mode & 1) != 0) {
    const auto client = started_client(options, (mode & 8) != 0 ? "HEAD" : "POST", (mode & 16) != 0);
    return run(*client, bytes, piece);
  }
  if ((mode & 8) != 0) {
    const auto fresh = H2Server::make(options).value();
    return run(*fresh, bytes, piece);
  }
  const auto server = started_server(options);
  return run(*server, bytes, piece);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  Run whole = run(data[0], bytes, bytes.size() + 1);
  for (size_t piece : {1, 7}) {
    Run cut = run(data[0], bytes, piece);
    require(whole.agrees_with(cut));
  }
  return 0;
}
