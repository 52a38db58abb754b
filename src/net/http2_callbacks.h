// What nghttp2 calls, turned into calls of an H2Session; and the making of an nghttp2 session. Only http2_session.cc
// includes this.
#pragma once

#include <nghttp2/nghttp2.h>

#include "net/http2_session.h"

namespace stockade::net {

struct H2Callbacks {
  // Null when there is no memory.
  static nghttp2_session* make(H2Session& session, const H2Options& options, bool server);

  static void* allocate(size_t size, void* user);
  static void* allocate_zeros(size_t count, size_t size, void* user);
  static void* reallocate(void* memory, size_t size, void* user);
  static void release(void* memory, void* user);

  static int begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user);
  static int header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                    const uint8_t* value, size_t value_size, uint8_t flags, void* user);
  static int invalid_header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                            const uint8_t* value, size_t value_size, uint8_t flags, void* user);
  static int frame_received(nghttp2_session* session, const nghttp2_frame* frame, void* user);
  static int invalid_frame(nghttp2_session*, const nghttp2_frame* frame, int error, void* user);
  static int data_chunk(nghttp2_session*, uint8_t flags, int32_t stream, const uint8_t* data, size_t size, void* user);
  static int stream_closed(nghttp2_session*, int32_t stream, uint32_t code, void* user);
  static int frame_sent(nghttp2_session*, const nghttp2_frame* frame, void* user);
  static ssize_t read_body(nghttp2_session* session, int32_t stream, uint8_t* out, size_t size, uint32_t* flags,
                           nghttp2_data_source*, void* user);
};

std::vector<nghttp2_nv> nghttp2_fields(const std::vector<HttpField>& fields);

}  // namespace stockade::net
