#include "net/http2_callbacks.h"

#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace stockade::net {

namespace {

H2Session& self(void* user) { return *static_cast<H2Session*>(user); }

std::string_view text(const uint8_t* data, size_t size) { return {reinterpret_cast<const char*>(data), size}; }

constexpr size_t kFrameBuffer = 16 * 1024;

struct Option {
  nghttp2_option* value = nullptr;
  Option() { nghttp2_option_new(&value); }
  ~Option() { nghttp2_option_del(value); }
  Option(const Option&) = delete;
  Option& operator=(const Option&) = delete;
};

struct CallbackTable {
  nghttp2_session_callbacks* value = nullptr;
  CallbackTable() { nghttp2_session_callbacks_new(&value); }
  ~CallbackTable() { nghttp2_session_callbacks_del(value); }
  CallbackTable(const CallbackTable&) = delete;
  CallbackTable& operator=(const CallbackTable&) = delete;
};

}  // namespace

// The library's memory, counted, so that what a session costs can be told (and tested).
void* H2Callbacks::allocate(size_t size, void* user) {
  void* memory = std::malloc(size);
  static_cast<H2Session::LibraryMemory*>(user)->held += malloc_usable_size(memory);
  return memory;
}

void* H2Callbacks::allocate_zeros(size_t count, size_t size, void* user) {
  void* memory = std::calloc(count, size);
  static_cast<H2Session::LibraryMemory*>(user)->held += malloc_usable_size(memory);
  return memory;
}

void* H2Callbacks::reallocate(void* memory, size_t size, void* user) {
  auto* counted = static_cast<H2Session::LibraryMemory*>(user);
  const size_t before = malloc_usable_size(memory);
  const bool is_buffer =
      memory == nullptr ? size > kFrameBuffer && counted->frame_buffer == nullptr : memory == counted->frame_buffer;
  void* moved = std::realloc(memory, size);
  if (moved == nullptr) return nullptr;
  counted->held += malloc_usable_size(moved) - before;
  if (is_buffer) counted->frame_buffer = moved;
  return moved;
}

void H2Callbacks::release(void* memory, void* user) {
  auto* counted = static_cast<H2Session::LibraryMemory*>(user);
  counted->held -= malloc_usable_size(memory);
  if (memory == counted->frame_buffer) counted->frame_buffer = nullptr;
  std::free(memory);
}

nghttp2_session* H2Callbacks::make(H2Session& session, const H2Options& options, bool server) {
  const Option option;
  const CallbackTable table;
  if (option.value == nullptr || table.value == nullptr) return nullptr;
  nghttp2_session_callbacks_set_on_begin_headers_callback(table.value, begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(table.value, header);
  nghttp2_session_callbacks_set_on_invalid_header_callback(table.value, invalid_header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(table.value, frame_received);
  nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(table.value, invalid_frame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(table.value, data_chunk);
  nghttp2_session_callbacks_set_on_stream_close_callback(table.value, stream_closed);
  nghttp2_session_callbacks_set_on_frame_send_callback(table.value, frame_sent);

  nghttp2_option_set_no_auto_window_update(option.value, 1);
  nghttp2_option_set_no_closed_streams(option.value, 1);
  nghttp2_option_set_max_deflate_dynamic_table_size(option.value, options.hpack_own_table);
  nghttp2_option_set_max_send_header_block_length(option.value, 2 * size_t{options.header_list_size});
  nghttp2_option_set_max_reserved_remote_streams(option.value, 0);
  // The frame meter counts these: by a clock that tests can set, and rightly where a CONTINUATION's header comes in
  // pieces (the library then counts each piece).
  nghttp2_option_set_stream_reset_rate_limit(option.value, UINT64_MAX, UINT64_MAX);
  nghttp2_option_set_max_continuations(option.value, SIZE_MAX);

  nghttp2_mem memory{&session.library_memory_, allocate, release, allocate_zeros, reallocate};
  nghttp2_session* made = nullptr;
  const auto create = server ? nghttp2_session_server_new3 : nghttp2_session_client_new3;
  return create(&made, table.value, &session, option.value, &memory) == 0 ? made : nullptr;
}

int H2Callbacks::begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
  if (frame->hd.type != NGHTTP2_HEADERS) return 0;
  self(user).begin_head(frame->hd.stream_id, frame->headers.cat == NGHTTP2_HCAT_REQUEST);
  return 0;
}

int H2Callbacks::header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                        const uint8_t* value, size_t value_size, uint8_t, void* user) {
  const bool taken = self(user).add_field(frame->hd.stream_id, text(name, name_size), text(value, value_size));
  return taken ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

int H2Callbacks::invalid_header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                                const uint8_t* value, size_t value_size, uint8_t, void* user) {
  const HttpField field{std::string(text(name, name_size)), std::string(text(value, value_size))};
  const auto judged = check_h2_trailers(std::span(&field, 1));
  self(user).note_fault(frame->hd.stream_id, judged ? "a field that HTTP/2 forbids" : judged.error().sentence());
  return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

int H2Callbacks::frame_received(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
  H2Session& self_ = self(user);
  const bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
      self_.end_head(frame->hd.stream_id, ends);
      break;
    case NGHTTP2_DATA:
      if (ends) self_.end_message(frame->hd.stream_id);
      break;
    case NGHTTP2_RST_STREAM:
      if (auto* stream = self_.find(frame->hd.stream_id)) stream->reset_by_peer = true;
      break;
    case NGHTTP2_GOAWAY:
      self_.events_.push_back(H2GoAway{static_cast<H2Code>(frame->goaway.error_code), frame->goaway.last_stream_id});
      break;
    case NGHTTP2_SETTINGS:
      if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) break;
      self_.events_.push_back(
          H2PeerSettings{nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS),
                         nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1});
      break;
    default:
      break;
  }
  return 0;
}

int H2Callbacks::invalid_frame(nghttp2_session*, const nghttp2_frame* frame, int error, void* user) {
  self(user).note_fault(frame->hd.stream_id, error == NGHTTP2_ERR_HTTP_HEADER || error == NGHTTP2_ERR_HTTP_MESSAGING
                                                 ? "a message that breaks RFC 9113, section 8"
                                                 : nghttp2_strerror(error));
  return 0;
}

int H2Callbacks::data_chunk(nghttp2_session*, uint8_t, int32_t stream, const uint8_t* data, size_t size, void* user) {
  self(user).add_body(stream, text(data, size));
  return 0;
}

int H2Callbacks::stream_closed(nghttp2_session*, int32_t stream, uint32_t code, void* user) {
  self(user).close_stream(stream, code);
  return 0;
}

int H2Callbacks::frame_sent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
  H2Session& self_ = self(user);
  switch (frame->hd.type) {
    case NGHTTP2_RST_STREAM:
      self_.sent_reset(frame->hd.stream_id);
      break;
    case NGHTTP2_GOAWAY:
      // The text is one of the library's constants.
      self_.sent_go_away(frame->goaway.error_code, text(frame->goaway.opaque_data, frame->goaway.opaque_data_len));
      break;
    case NGHTTP2_DATA:
      if (frame->hd.length > 0) self_.meter_.count_data();
      break;
    default:
      break;
  }
  return 0;
}

ssize_t H2Callbacks::read_body(nghttp2_session* session, int32_t id, uint8_t* out, size_t size, uint32_t* flags,
                               nghttp2_data_source*, void* user) {
  H2Session::Stream* stream = self(user).find(id);
  if (stream == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  const auto piece = stream->source.substr(0, size);
  std::copy(piece.begin(), piece.end(), out);
  stream->source.remove_prefix(piece.size());
  if (!stream->source.empty()) return static_cast<ssize_t>(piece.size());
  if (!stream->ending && piece.empty()) return NGHTTP2_ERR_DEFERRED;
  if (!stream->ending) return static_cast<ssize_t>(piece.size());
  *flags |= NGHTTP2_DATA_FLAG_EOF;
  if (!stream->trailers.empty()) {
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    const auto fields = nghttp2_fields(stream->trailers);
    if (nghttp2_submit_trailer(session, id, fields.data(), fields.size()) != 0)
      return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }
  return static_cast<ssize_t>(piece.size());
}

std::vector<nghttp2_nv> nghttp2_fields(const std::vector<HttpField>& fields) {
  std::vector<nghttp2_nv> out;
  out.reserve(fields.size());
  const auto bytes = [](const std::string& s) { return reinterpret_cast<uint8_t*>(const_cast<char*>(s.data())); };
  for (const HttpField& field : fields)
    out.push_back({bytes(field.name), bytes(field.value), field.name.size(), field.value.size(), NGHTTP2_NV_FLAG_NONE});
  return out;
}

}  // namespace stockade::net
