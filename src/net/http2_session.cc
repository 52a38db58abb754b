#include "net/http2_session.h"

#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>

#include "net/http2_callbacks.h"

namespace stockade::net {

namespace {

constexpr size_t kClientPreface = 24;  // "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
constexpr size_t kFieldOverhead = 32;  // RFC 9113, 6.5.2

H2Code code_of(ssize_t library_error) {
  switch (library_error) {
    case NGHTTP2_ERR_BAD_CLIENT_MAGIC:
      return H2Code::protocol_error;
    case NGHTTP2_ERR_FLOODED:
      return H2Code::enhance_your_calm;
    case NGHTTP2_ERR_NOMEM:
    case NGHTTP2_ERR_CALLBACK_FAILURE:
      return H2Code::internal_error;
    default:
      return H2Code::protocol_error;
  }
}

ErrorKind kind_of(H2Code code) {
  if (code == H2Code::enhance_your_calm) return ErrorKind::limit;
  return code == H2Code::internal_error ? ErrorKind::internal : ErrorKind::protocol;
}

}  // namespace

std::string_view h2_code_name(H2Code code) {
  const auto value = static_cast<uint32_t>(code);
  return value <= 13 ? nghttp2_http2_strerror(value) : "unknown";
}

// ---- making

H2Session::H2Session(Side side, const H2Options& options)
    : side_(side), options_(options), meter_(options.floods, side == Side::server ? kClientPreface : 0) {}

H2Session::~H2Session() { nghttp2_session_del(session_); }

Result<void> H2Session::start() {
  const bool server = side_ == Side::server;
  session_ = H2Callbacks::make(*this, options_, server);
  if (session_ == nullptr) return fail(ErrorKind::internal, "make an HTTP/2 session");
  std::vector<nghttp2_settings_entry> settings = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, server ? options_.concurrent_streams : 0},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options_.stream_window},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, options_.header_list_size},
      {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, options_.hpack_table}};
  if (server) {
    settings.push_back({NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1});
    if (options_.rules.extended_connect) settings.push_back({NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1});
  } else {
    settings.push_back({NGHTTP2_SETTINGS_ENABLE_PUSH, 0});
  }
  const int submitted = nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  const int widened = nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                                            static_cast<int32_t>(options_.connection_window));
  if (submitted != 0 || widened != 0) return fail(ErrorKind::internal, "options that HTTP/2 does not allow");
  drain();
  return usable();
}

Result<void> H2Session::usable() const {
  if (failure_) return std::unexpected(*failure_);
  return {};
}

size_t H2Session::memory() const {
  size_t total = malloc_usable_size(const_cast<H2Session*>(this)) + library_memory_.held + output_.capacity() +
                 events_.capacity() * sizeof(H2Event) + incoming_.capacity() * sizeof(HttpField);
  total += streams_.size() * (sizeof(Stream) + 48);
  return total;
}

void H2Session::rest() {
  // Only between two frames, and with none on its way, is what the buffer holds dead.
  if (library_memory_.frame_buffer == nullptr || !output_.empty() || !meter_.between_frames() || open_ > 0) return;
  constexpr uintptr_t kPage = 4096;
  const auto begin = reinterpret_cast<uintptr_t>(library_memory_.frame_buffer);
  const uintptr_t end = (begin + malloc_usable_size(library_memory_.frame_buffer)) & ~(kPage - 1);
  const uintptr_t first = (begin + kPage - 1) & ~(kPage - 1);
  if (first < end) madvise(reinterpret_cast<void*>(first), end - first, MADV_DONTNEED);
}

// ---- bytes in

Result<void> H2Session::feed(std::string_view bytes) {
  STOCKADE_TRY(usable());
  while (!bytes.empty() && !failure_) {
    const auto taken = meter_.take(bytes);
    if (taken.breach != nullptr) {
      breach(H2Code::enhance_your_calm, std::string("too many ").append(taken.breach));
      break;
    }
    if (taken.fault != nullptr) {
      breach(H2Code::protocol_error, taken.fault);
      break;
    }
    feed_piece(bytes.substr(0, taken.size));
    bytes.remove_prefix(taken.size);
    // What a frame causes is said before the next is read: or the same bytes, cut differently, would mean other things.
    if (meter_.between_frames()) drain();
  }
  if (failure_) drain();
  tell_writable();
  return usable();
}

void H2Session::feed_piece(std::string_view piece) {
  const auto taken = nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(piece.data()), piece.size());
  if (taken < 0) breach(code_of(taken), nghttp2_strerror(static_cast<int>(taken)));
}

Result<void> H2Session::finish() {
  STOCKADE_TRY(usable());
  if (!meter_.between_frames()) return fail(ErrorKind::protocol, "the connection closed in the midst of a frame");
  const bool cut = std::any_of(streams_.begin(), streams_.end(),
                               [](const auto& entry) { return entry.second.open && !entry.second.ended_remotely; });
  if (cut) return fail(ErrorKind::protocol, "the connection closed in the midst of a message");
  return {};
}

std::vector<H2Event> H2Session::take_events() { return std::exchange(events_, {}); }

// ---- bytes out

void H2Session::send_pending() {
  for (;;) {
    const uint8_t* data = nullptr;
    const auto size = nghttp2_session_mem_send(session_, &data);
    if (size < 0) return breach(code_of(size), nghttp2_strerror(static_cast<int>(size)));
    if (size == 0) return;
    output_.append(reinterpret_cast<const char*>(data), static_cast<size_t>(size));
  }
}

void H2Session::drain() {
  if (!terminated_) send_pending();
  if (!failure_ && output_.size() > options_.queued_output)
    breach(H2Code::enhance_your_calm, "too much output that the peer causes but does not read");
  if (!failure_ || terminated_) return;
  terminated_ = true;
  nghttp2_session_terminate_session(session_, static_cast<uint32_t>(failure_code_));
  send_pending();
}

void H2Session::drop_output(size_t size) {
  output_.erase(0, size);
  if (output_.empty()) output_ = {};
  tell_writable();
}

std::string H2Session::take_output() {
  auto output = std::exchange(output_, {});
  tell_writable();
  return output;
}

// Half of the queue is kept for what the peer causes: acknowledgements, resets, window updates.
size_t H2Session::room(int32_t stream) const {
  const size_t half = options_.queued_output / 2;
  if (output_.size() >= half || failure_) return 0;
  const int32_t window = std::min(nghttp2_session_get_remote_window_size(session_),
                                  nghttp2_session_get_stream_remote_window_size(session_, stream));
  return window <= 0 ? 0 : std::min(static_cast<size_t>(window), half - output_.size());
}

void H2Session::tell_writable() {
  if (waiting_ == 0 || failure_) return;
  for (auto& [id, stream] : streams_) {
    if (!stream.wants_room || room(id) == 0) continue;
    stream.wants_room = false;
    --waiting_;
    events_.push_back(H2Writable{id});
  }
}

// ---- commands

H2Session::Stream* H2Session::find(int32_t stream) {
  const auto found = streams_.find(stream);
  return found == streams_.end() ? nullptr : &found->second;
}

void H2Session::forget(int32_t stream) {
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return;
  if (found->second.wants_room) --waiting_;
  streams_.erase(found);
}

Result<int32_t> H2Session::submit_request(const Outgoing& head) {
  const auto fields = nghttp2_fields(head.fields);
  const nghttp2_data_provider body{{}, H2Callbacks::read_body};
  const int32_t id =
      nghttp2_submit_request(session_, nullptr, fields.data(), fields.size(), head.end ? nullptr : &body, nullptr);
  if (id < 0) return fail(ErrorKind::unavailable, "open a stream: {}", nghttp2_strerror(id));
  streams_.emplace(id, Stream{.declared = head.content_length, .head_sent = true, .ending = head.end});
  ++open_;
  drain();
  STOCKADE_TRY(usable());
  return id;
}

// A stream that still takes what we send.
Result<H2Session::Stream*> H2Session::sendable(int32_t id) {
  STOCKADE_TRY(usable());
  Stream* stream = find(id);
  if (stream == nullptr || !stream->open) return fail(ErrorKind::unavailable, "stream {} is closed", id);
  if (stream->ending) return fail(ErrorKind::internal, "more to send on stream {} after its end", id);
  return stream;
}

Result<void> H2Session::submit_response(int32_t id, const Outgoing& head) {
  STOCKADE_ASSIGN(Stream * stream, sendable(id));
  if (stream->head_sent || !stream->head_received)
    return fail(ErrorKind::internal, "a response on stream {} at the wrong time", id);
  const auto fields = nghttp2_fields(head.fields);
  const nghttp2_data_provider body{{}, H2Callbacks::read_body};
  int result = 0;
  if (head.interim) {
    result = nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, id, nullptr, fields.data(), fields.size(), nullptr);
  } else {
    stream->head_sent = true;
    stream->ending = head.end;
    stream->declared = head.content_length;
    result = nghttp2_submit_response(session_, id, fields.data(), fields.size(), head.end ? nullptr : &body);
  }
  if (result != 0) return fail(ErrorKind::internal, "send a response: {}", nghttp2_strerror(result));
  drain();
  return usable();
}

Result<size_t> H2Session::send_body(int32_t id, std::string_view bytes, bool end) {
  STOCKADE_ASSIGN(Stream * stream, sendable(id));
  if (!stream->head_sent) return fail(ErrorKind::internal, "a body on stream {} before its head", id);
  if (stream->declared && (*stream->declared < bytes.size() || (end && *stream->declared != bytes.size())))
    return fail(ErrorKind::protocol, "a body on stream {} that differs from its Content-Length", id);
  const size_t size = std::min(bytes.size(), room(id));
  if (size < bytes.size() && !stream->wants_room) {
    stream->wants_room = true;
    ++waiting_;
  }
  stream->source = bytes.substr(0, size);
  stream->ending = end && size == bytes.size();
  if (stream->declared) *stream->declared -= size;
  if (size == 0 && !stream->ending) return 0;
  nghttp2_session_resume_data(session_, id);
  drain();
  STOCKADE_TRY(usable());
  // The stream may be gone now, if this was its end.
  stream = find(id);
  if (stream != nullptr && !stream->source.empty()) {
    stream->source = {};
    return fail(ErrorKind::internal, "nghttp2 took less than its windows allow");
  }
  return size;
}

Result<void> H2Session::end(int32_t id) {
  STOCKADE_ASSIGN(const size_t taken, send_body(id, {}, true));
  (void)taken;
  return {};
}

Result<void> H2Session::send_trailers(int32_t id, std::vector<HttpField> fields) {
  STOCKADE_TRY(check_h2_trailers(fields));
  STOCKADE_ASSIGN(Stream * stream, sendable(id));
  stream->trailers = std::move(fields);
  return end(id);
}

void H2Session::reset(int32_t id, H2Code code) {
  Stream* stream = find(id);
  if (stream == nullptr || failure_) return;
  if (!stream->open) {  // only its bytes were still to be consumed
    nghttp2_session_consume_connection(session_, stream->unconsumed);
    forget(id);
  } else {
    stream->reset_by_us = true;
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, static_cast<uint32_t>(code));
  }
  drain();
}

void H2Session::consume(int32_t id, size_t size) {
  Stream* stream = find(id);
  if (stream == nullptr || failure_) return;
  size = std::min(size, stream->unconsumed);
  stream->unconsumed -= size;
  nghttp2_session_consume(session_, id, size);
  if (!stream->open && stream->unconsumed == 0) forget(id);
  drain();
}

void H2Session::go_away(H2Code code) {
  if (failure_) return;
  if (code == H2Code::no_error) {
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
                          NGHTTP2_NO_ERROR, nullptr, 0);
  } else {
    breach(code, "ended by us");
  }
  drain();
}

// ---- what nghttp2 tells

void H2Session::begin_head(int32_t id, bool new_request) {
  incoming_.clear();
  incoming_size_ = 0;
  if (new_request && streams_.emplace(id, Stream{}).second) ++open_;
}

bool H2Session::add_field(int32_t id, std::string_view name, std::string_view value) {
  if (failure_) return false;
  incoming_size_ += name.size() + value.size() + kFieldOverhead;
  const char* too_much = nullptr;
  if (incoming_.size() == options_.field_count) too_much = "too many fields in a head";
  if (incoming_size_ > options_.header_list_size) too_much = "a head that is too long";
  if (name.size() + value.size() > options_.field_size) too_much = "a field that is too long";
  if (too_much != nullptr) {
    reset_malformed(id, H2Code::enhance_your_calm, too_much);
    return false;
  }
  incoming_.push_back({std::string(name), std::string(value)});
  return true;
}

Result<void> H2Session::judge_head(int32_t id, Stream& stream, bool ends) {
  auto fields = std::exchange(incoming_, {});
  if (stream.head_received) {
    STOCKADE_TRY(check_h2_trailers(fields));
    if (!ends) return fail(ErrorKind::protocol, "a trailer that does not end its message");
    events_.push_back(H2Trailers{id, std::move(fields)});
  } else if (side_ == Side::server) {
    STOCKADE_ASSIGN(H2RequestHead head, parse_h2_request(std::move(fields), options_.rules));
    stream.head_received = true;
    events_.push_back(H2Request{id, std::move(head), ends});
  } else {
    STOCKADE_ASSIGN(H2ResponseHead head, parse_h2_response(std::move(fields)));
    if (head.interim() && ends) return fail(ErrorKind::protocol, "an interim response that ends its stream");
    stream.head_received = !head.interim();
    events_.push_back(H2Response{id, std::move(head), ends});
  }
  return {};
}

void H2Session::end_head(int32_t id, bool ends) {
  Stream* stream = find(id);
  if (stream == nullptr || failure_) return;
  if (auto judged = judge_head(id, *stream, ends); !judged) {
    reset_malformed(id, H2Code::protocol_error, judged.error().sentence());
    return;
  }
  if (ends) end_message(id);
}

void H2Session::add_body(int32_t id, std::string_view bytes) {
  Stream* stream = find(id);
  if (stream == nullptr || failure_ || bytes.empty()) return;
  stream->unconsumed += bytes.size();
  if (!events_.empty()) {
    H2Body* last = std::get_if<H2Body>(&events_.back());
    if (last != nullptr && last->stream == id) {
      last->bytes.append(bytes);
      return;
    }
  }
  events_.push_back(H2Body{id, std::string(bytes)});
}

void H2Session::end_message(int32_t id) {
  Stream* stream = find(id);
  if (stream == nullptr || failure_) return;
  stream->ended_remotely = true;
  events_.push_back(H2End{id});
}

void H2Session::close_stream(int32_t id, uint32_t code) {
  Stream* stream = find(id);
  if (stream == nullptr || !stream->open) return;
  stream->open = false;
  --open_;
  const bool complete = code == NGHTTP2_NO_ERROR && stream->ended_remotely && stream->ending;
  if (!complete && !stream->reset_by_us && !failure_)
    events_.push_back(H2Reset{id, static_cast<H2Code>(code), stream->reset_by_peer, std::move(stream->reason)});
  if (!complete) nghttp2_session_consume_connection(session_, stream->unconsumed);
  if (!complete || stream->unconsumed == 0) {
    forget(id);
  } else if (stream->wants_room) {
    stream->wants_room = false;
    --waiting_;
  }
}

void H2Session::note_fault(int32_t id, std::string_view reason) {
  Stream* stream = find(id);
  if (stream != nullptr && stream->reason.empty()) stream->reason = reason;
}

void H2Session::reset_malformed(int32_t id, H2Code code, std::string_view reason) {
  note_fault(id, reason);
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, static_cast<uint32_t>(code));
}

// A reset that the peer's fault made us send costs it as much as one of its own (CVE-2025-8671, "MadeYouReset").
void H2Session::sent_reset(int32_t id) {
  const Stream* stream = find(id);
  if (stream != nullptr && stream->reset_by_us) return;
  if (meter_.count_reset()) breach(H2Code::enhance_your_calm, "too many streams that had to be reset");
}

void H2Session::sent_go_away(uint32_t code, std::string_view reason) {
  if (code == NGHTTP2_NO_ERROR || failure_) return;
  breach(static_cast<H2Code>(code), reason);
  terminated_ = true;
}

void H2Session::breach(H2Code code, std::string_view reason) {
  if (failure_) return;
  failure_ = Error(kind_of(code), fmt::format("HTTP/2 {}: {}", h2_code_name(code), reason));
  failure_code_ = code;
}

}  // namespace stockade::net
