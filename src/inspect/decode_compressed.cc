#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <memory>

#include "inspect/decode.h"

namespace stockade::inspect {

namespace {

constexpr size_t kPiece = 16 * 1024;
constexpr size_t kRatioFrom = 64 * 1024;
constexpr int kWindowLog = 23;  // 8 MiB: what RFC 8878 lets a decoder insist on

// Where output goes: up to the limits.
class Output {
 public:
  Output(const InflateLimits& limits, size_t input) : limits_(limits), input_(input) {}

  bool take(const char* data, size_t size) {
    bytes.append(data, size);
    return bytes.size() <= limits_.bytes && (bytes.size() < kRatioFrom || bytes.size() / limits_.ratio <= input_);
  }
  std::string bytes;

 private:
  const InflateLimits& limits_;
  size_t input_;
};

Inflated run_zlib(std::string_view in, int window, Output& out, size_t& used) {
  z_stream stream{};
  if (::inflateInit2(&stream, window) != Z_OK) return Inflated::invalid;
  struct End {
    void operator()(z_stream* s) const { ::inflateEnd(s); }
  };
  const std::unique_ptr<z_stream, End> owner(&stream);
  char buffer[kPiece];
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
  stream.avail_in = static_cast<uInt>(std::min<size_t>(in.size(), 1u << 30));
  while (true) {
    stream.next_out = reinterpret_cast<Bytef*>(buffer);
    stream.avail_out = kPiece;
    const int status = ::inflate(&stream, Z_NO_FLUSH);
    const size_t made = kPiece - stream.avail_out;
    used = in.size() - stream.avail_in;
    if (!out.take(buffer, made)) return Inflated::limited;
    if (status == Z_STREAM_END) return Inflated::complete;
    if (status == Z_BUF_ERROR || (status == Z_OK && made == 0 && stream.avail_in == 0)) return Inflated::cut;
    if (status != Z_OK) return Inflated::invalid;
  }
}

Inflated run_brotli(std::string_view in, Output& out, size_t& used) {
  struct End {
    void operator()(BrotliDecoderState* s) const { BrotliDecoderDestroyInstance(s); }
  };
  const std::unique_ptr<BrotliDecoderState, End> state(BrotliDecoderCreateInstance(nullptr, nullptr, nullptr));
  if (!state) return Inflated::invalid;
  uint8_t buffer[kPiece];
  const auto* next_in = reinterpret_cast<const uint8_t*>(in.data());
  size_t in_left = in.size();
  while (true) {
    uint8_t* next_out = buffer;
    size_t out_left = kPiece;
    const auto status = BrotliDecoderDecompressStream(state.get(), &in_left, &next_in, &out_left, &next_out, nullptr);
    used = in.size() - in_left;
    if (!out.take(reinterpret_cast<const char*>(buffer), kPiece - out_left)) return Inflated::limited;
    if (status == BROTLI_DECODER_RESULT_SUCCESS) return Inflated::complete;
    if (status == BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT) return Inflated::cut;
    if (status == BROTLI_DECODER_RESULT_ERROR) return Inflated::invalid;
  }
}

Inflated run_zstd(std::string_view in, Output& out, size_t& used) {
  struct End {
    void operator()(ZSTD_DStream* s) const { ZSTD_freeDStream(s); }
  };
  const std::unique_ptr<ZSTD_DStream, End> stream(ZSTD_createDStream());
  if (!stream) return Inflated::invalid;
  ZSTD_DCtx_setParameter(stream.get(), ZSTD_d_windowLogMax, kWindowLog);
  char buffer[kPiece];
  ZSTD_inBuffer input{in.data(), in.size(), 0};
  while (true) {
    ZSTD_outBuffer output{buffer, kPiece, 0};
    const size_t status = ZSTD_decompressStream(stream.get(), &output, &input);
    used = input.pos;
    if (ZSTD_isError(status)) return Inflated::invalid;
    if (!out.take(buffer, output.pos)) return Inflated::limited;
    if (status == 0) return Inflated::complete;
    if (output.pos == 0 && input.pos == input.size) return Inflated::cut;
  }
}

}  // namespace

std::string_view to_string(Compression compression) {
  switch (compression) {
    case Compression::gzip:
      return "gzip";
    case Compression::zlib:
      return "zlib";
    case Compression::deflate:
      return "deflate";
    case Compression::brotli:
      return "br";
    case Compression::zstd:
      return "zstd";
  }
  return "gzip";
}

Inflated inflate(std::string_view text, size_t at, Compression compression, const InflateLimits& limits, Views& views) {
  const std::string_view in = text.substr(at);
  Output out(limits, in.size());
  size_t used = 0;
  Inflated result = Inflated::invalid;
  switch (compression) {
    case Compression::gzip:
      result = run_zlib(in, 15 + 16, out, used);
      break;
    case Compression::zlib:
      result = run_zlib(in, 15, out, used);
      break;
    case Compression::deflate:
      result = run_zlib(in, -15, out, used);
      break;
    case Compression::brotli:
      result = run_brotli(in, out, used);
      break;
    case Compression::zstd:
      result = run_zstd(in, out, used);
      break;
  }
  if (out.bytes.empty() || used == 0) return result;
  View view{std::move(out.bytes), {}, to_string(compression)};
  view.way = Way::whole;
  view.map.add(0, at);
  view.map.add(view.bytes.size(), at + used);
  views.push_back(std::move(view));
  return result;
}

}  // namespace stockade::inspect
