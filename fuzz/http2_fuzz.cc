// HTTP/2, both sides: the same bytes give the same events, the same output and the same end however they are cut. A
// head that is accepted can be written again, and written as HTTP/1 it is the same one request.
//
// covers: src/net/http2_frame_meter.cc src/net/http2_session.cc src/net/http2_callbacks.cc src/net/http2_head.cc
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
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

// Uses what comes: answers, sends bodies and trailers, consumes, resets. What is sent depends on when it is, so that
// only crashes, bounds and the other side's verdict count.
void answer(H2Session& session, H2Server* server, const H2Event& event, uint8_t mode) {
  static const std::string body(3000, 'x');
  if (const auto* request = std::get_if<H2Request>(&event); request != nullptr && server != nullptr) {
    const int32_t stream = request->stream;
    H2ResponseHead head{.status = 200, .fields = {{"x", "y"}}, .content_length = {}};
    if ((mode & 64) != 0)
      (void)server->send_response(stream, {.status = 103, .fields = {}, .content_length = {}}, false);
    (void)server->send_response(stream, head, (mode & 128) != 0);
    require(session.send_body(stream, body).value_or(0) <= body.size());
  } else if (const auto* piece = std::get_if<H2Body>(&event)) {
    (void)session.send_body(piece->stream, piece->bytes, (mode & 64) != 0);
    session.consume(piece->stream, piece->bytes.size() / 2);
    session.consume(piece->stream, piece->bytes.size());
  } else if (const auto* writable = std::get_if<H2Writable>(&event)) {
    (void)session.send_body(writable->stream, body, true);
  } else if (const auto* end = std::get_if<H2End>(&event)) {
    if ((mode & 64) != 0) {
      (void)session.send_trailers(end->stream, {{"grpc-status", "0"}});
    } else {
      session.reset(end->stream, H2Code::no_error);
    }
  } else if (std::holds_alternative<H2GoAway>(event)) {
    session.go_away((mode & 64) != 0 ? H2Code::no_error : H2Code::cancel);
  }
}

void use(uint8_t mode, std::string_view bytes) {
  H2Options options;
  options.rules.extended_connect = true;
  options.queued_output = 20'000;
  std::unique_ptr<H2Server> server;
  std::unique_ptr<H2Client> client;
  if ((mode & 1) != 0) {
    client = started_client(options, "POST", false);
    (void)client->send_body(1, "some");
  } else {
    server = started_server(options);
  }
  H2Session& session = server ? static_cast<H2Session&>(*server) : *client;
  for (uint64_t step = 0; !bytes.empty(); ++step) {
    const std::string exact(bytes.substr(0, 50));
    bytes.remove_prefix(exact.size());
    session.advance(std::chrono::milliseconds(step * 500));
    const bool fed = session.feed(exact).has_value();
    for (const H2Event& event : session.take_events()) answer(session, server.get(), event, mode);
    require(fed || session.failed());
    require(session.pending_output().size() <= options.queued_output + 20'000);
    if (step % 3 == 0) session.drop_output(session.pending_output().size() / 2);
    if (step % 4 == 0) (void)session.take_output();
    session.rest();
  }
  (void)session.finish();
  require(session.memory() > 0);
  if (client && client->can_open())
    (void)client->send_request({.method = "GET",
                                .scheme = "https",
                                .authority = "a",
                                .path = "/",
                                .protocol = {},
                                .fields = {},
                                .content_length = {}},
                               true);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if ((data[0] & 0x20) != 0) {
    use(data[0], bytes);
    return 0;
  }
  Run whole = run(data[0], bytes, bytes.size() + 1);
  for (size_t piece : {1, 7}) {
    Run cut = run(data[0], bytes, piece);
    require(whole.agrees_with(cut));
  }
  return 0;
}
