#include "net/content_coding.h"

#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>

#include "net/http_field.h"

namespace stockade::net {

namespace {

constexpr size_t kStep = 32 * 1024;
constexpr int kGzipWindow = 16 + MAX_WBITS;
constexpr uint32_t kZstdMagic = 0xfd2fb528;

Bytef* bytes_of(std::string_view text) { return reinterpret_cast<Bytef*>(const_cast<char*>(text.data())); }

std::unexpected<Error> malformed(ContentCoding coding, std::string_view what) {
  return fail(ErrorKind::protocol, "a {} body {}", coding_name(coding), what);
}

}  // namespace

std::string_view coding_name(ContentCoding coding) {
  switch (coding) {
    case ContentCoding::gzip:
      return "gzip";
    case ContentCoding::deflate:
      return "deflate";
    case ContentCoding::brotli:
      return "br";
    case ContentCoding::zstd:
      return "zstd";
  }
  return "";
}

Result<std::vector<ContentCoding>> parse_content_codings(std::string_view value, size_t limit) {
  std::vector<ContentCoding> codings;
  for (bool more = true; more;) {
    const auto comma = value.find(',');
    auto name = value.substr(0, comma);
    more = comma != std::string_view::npos;
    if (more) value.remove_prefix(comma + 1);
    while (!name.empty() && (name.front() == ' ' || name.front() == '\t')) name.remove_prefix(1);
    while (!name.empty() && (name.back() == ' ' || name.back() == '\t')) name.remove_suffix(1);
    if (name.empty() || equals_ignoring_case(name, "identity")) continue;
    if (codings.size() == limit) return fail(ErrorKind::limit, "more than {} content codings", limit);
    if (equals_ignoring_case(name, "gzip") || equals_ignoring_case(name, "x-gzip")) {
      codings.push_back(ContentCoding::gzip);
    } else if (equals_ignoring_case(name, "deflate")) {
      codings.push_back(ContentCoding::deflate);
    } else if (equals_ignoring_case(name, "br")) {
      codings.push_back(ContentCoding::brotli);
    } else if (equals_ignoring_case(name, "zstd")) {
      codings.push_back(ContentCoding::zstd);
    } else {
      return fail(ErrorKind::unavailable, "a content coding other than gzip, deflate, br and zstd");
    }
  }
  return codings;
}

// One coding. step() takes some input and gives some output; both empty: it waits for more.
class ContentDecoder::Link {
 public:
  explicit Link(ContentCoding coding) : coding(coding) {}
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  virtual ~Link() = default;

  // Takes from the front of `input`, writes to `output` and returns how much was written.
  virtual Result<size_t> step(std::string_view& input, std::array<char, kStep>& output) = 0;
  // Between two streams, or behind the only one.
  bool at_end = true;
  const ContentCoding coding;
};

namespace {

class ZlibLink final : public ContentDecoder::Link {
 public:
  explicit ZlibLink(ContentCoding coding) : Link(coding) {}
  ~ZlibLink() override {
    if (made_) inflateEnd(&z_);
  }

  Result<size_t> step(std::string_view& input, std::array<char, kStep>& output) override {
    if (!made_) {
      STOCKADE_TRY(begin(input));
      if (!made_) return 0;
    } else if (at_end && !input.empty()) {
      // gzip is a row of members (RFC 1952, section 2.2); of zlib and raw deflate there is one.
      if (coding != ContentCoding::gzip) return malformed(coding, "with bytes behind its end");
      inflateReset(&z_);
      at_end = false;
    }
    size_t written = 0;
    // The bytes that were held to know the format go first.
    if (held_size_ > 0 && !at_end) {
      std::string_view held(held_.data() + held_at_, held_size_ - held_at_);
      STOCKADE_ASSIGN(written, run(held, output, 0));
      held_at_ = held_size_ - held.size();
      if (!held.empty()) {
        if (at_end) return malformed(coding, "with bytes behind its end");
        return written;
      }
      held_size_ = held_at_ = 0;
      if (at_end) return written;
    }
    if (at_end || written == output.size()) return written;
    return run(input, output, written);
  }

 private:
  // zlib or raw: the first two bytes tell (RFC 1950, section 2.2).
  Result<void> begin(std::string_view& input) {
    int window = kGzipWindow;
    if (coding == ContentCoding::deflate) {
      while (held_size_ < held_.size() && !input.empty()) {
        held_[held_size_++] = input[0];
        input.remove_prefix(1);
        at_end = false;
      }
#ifndef STOCKADE_PLANTED_BUG  // what came alone is taken for both bytes
      if (held_size_ < held_.size()) return {};
#endif
      const auto first = static_cast<uint8_t>(held_[0]);
      const auto second = static_cast<uint8_t>(held_[1]);
      const bool zlib = (first & 0x0f) == Z_DEFLATED && first >> 4 <= 7 && (first << 8 | second) % 31 == 0;
      window = zlib ? MAX_WBITS : -MAX_WBITS;
    } else if (input.empty()) {
      return {};
    }
    if (inflateInit2(&z_, window) != Z_OK) return fail(ErrorKind::internal, "make an inflater");
    made_ = true;
    at_end = false;
    return {};
  }

  Result<size_t> run(std::string_view& input, std::array<char, kStep>& output, size_t written) {
    z_.next_in = bytes_of(input);
    z_.avail_in = static_cast<uInt>(std::min<size_t>(input.size(), 1U << 30));
    const uInt offered = z_.avail_in;
    z_.next_out = reinterpret_cast<Bytef*>(output.data() + written);
    z_.avail_out = static_cast<uInt>(output.size() - written);
    const int result = inflate(&z_, Z_NO_FLUSH);
    input.remove_prefix(offered - z_.avail_in);
    if (result == Z_STREAM_END) {
      at_end = true;
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      return malformed(coding, "that does not decode");
    }
    return output.size() - z_.avail_out;
  }

  z_stream z_{};
  bool made_ = false;
  std::array<char, 2> held_{};
  size_t held_size_ = 0, held_at_ = 0;
};

class BrotliLink final : public ContentDecoder::Link {
 public:
  BrotliLink() : Link(ContentCoding::brotli) {}
  ~BrotliLink() override { BrotliDecoderDestroyInstance(state_); }

  Result<size_t> step(std::string_view& input, std::array<char, kStep>& output) override {
    if (input.empty() && state_ == nullptr) return 0;
    if (state_ == nullptr) {
      state_ = BrotliDecoderCreateInstance(nullptr, nullptr, nullptr);
      if (state_ == nullptr) return fail(ErrorKind::internal, "make a brotli decoder");
      at_end = false;
    } else if (at_end) {
      if (input.empty()) return 0;
      return malformed(coding, "with bytes behind its end");
    }
    size_t in_size = input.size();
    const auto* in = reinterpret_cast<const uint8_t*>(input.data());
    size_t out_size = output.size();
    auto* out = reinterpret_cast<uint8_t*>(output.data());
    const auto result = BrotliDecoderDecompressStream(state_, &in_size, &in, &out_size, &out, nullptr);
    input.remove_prefix(input.size() - in_size);
    if (result == BROTLI_DECODER_RESULT_ERROR) return malformed(coding, "that does not decode");
    at_end = result == BROTLI_DECODER_RESULT_SUCCESS;
    return output.size() - out_size;
  }

 private:
  BrotliDecoderState* state_ = nullptr;
};

class ZstdLink final : public ContentDecoder::Link {
 public:
  explicit ZstdLink(int window_log) : Link(ContentCoding::zstd), window_log_(window_log) {}
  ~ZstdLink() override { ZSTD_freeDStream(stream_); }

  Result<size_t> step(std::string_view& input, std::array<char, kStep>& output) override {
    if (stream_ == nullptr) {
      if (input.empty()) return 0;
      stream_ = ZSTD_createDStream();
      if (stream_ == nullptr || ZSTD_isError(ZSTD_DCtx_setParameter(stream_, ZSTD_d_windowLogMax, window_log_)) != 0)
        return fail(ErrorKind::internal, "make a zstd decoder");
    }
    // Each frame's magic number is looked at first, so that skippable frames don't pass unseen.
    while (magic_size_ < 4) {
      if (input.empty()) return 0;
      at_end = false;
      const auto expected = static_cast<char>(kZstdMagic >> (8 * magic_size_) & 0xff);
      if (input[0] != expected) return malformed(coding, "with a frame that carries no data, or none at all");
      magic_[magic_size_++] = input[0];
      input.remove_prefix(1);
      if (magic_size_ == 4) STOCKADE_TRY(run_magic(output));
    }
    ZSTD_inBuffer in{input.data(), input.size(), 0};
    ZSTD_outBuffer out{output.data(), output.size(), 0};
    const size_t result = ZSTD_decompressStream(stream_, &out, &in);
    if (ZSTD_isError(result) != 0) return malformed(coding, "that does not decode");
    input.remove_prefix(in.pos);
    if (result == 0) {
      at_end = true;
      magic_size_ = 0;
    }
    return out.pos;
  }

 private:
  Result<void> run_magic(std::array<char, kStep>& output) {
    ZSTD_inBuffer in{magic_.data(), magic_.size(), 0};
    ZSTD_outBuffer out{output.data(), output.size(), 0};
    const size_t result = ZSTD_decompressStream(stream_, &out, &in);
    if (ZSTD_isError(result) != 0 || in.pos != in.size || out.pos != 0)
      return malformed(coding, "that does not decode");
    return {};
  }

  const int window_log_;
  ZSTD_DStream* stream_ = nullptr;
  std::array<char, 4> magic_{};
  size_t magic_size_ = 0;
};

}  // namespace

ContentDecoder::ContentDecoder(const DecodeLimits& limits) : limits_(limits) {}
ContentDecoder::ContentDecoder(ContentDecoder&&) noexcept = default;
ContentDecoder& ContentDecoder::operator=(ContentDecoder&&) noexcept = default;
ContentDecoder::~ContentDecoder() = default;

Result<ContentDecoder> ContentDecoder::make(const std::vector<ContentCoding>& codings, const DecodeLimits& limits) {
  if (codings.size() > limits.codings) return fail(ErrorKind::limit, "more than {} content codings", limits.codings);
  ContentDecoder decoder(limits);
  for (auto coding = codings.rbegin(); coding != codings.rend(); ++coding) {
    switch (*coding) {
      case ContentCoding::gzip:
      case ContentCoding::deflate:
        decoder.links_.push_back(std::make_unique<ZlibLink>(*coding));
        break;
      case ContentCoding::brotli:
        decoder.links_.push_back(std::make_unique<BrotliLink>());
        break;
      case ContentCoding::zstd:
        decoder.links_.push_back(std::make_unique<ZstdLink>(limits.zstd_window_log));
        break;
    }
  }
  return decoder;
}

Result<void> ContentDecoder::decode(std::string_view bytes, std::string& out) {
  if (failed_) return fail(ErrorKind::protocol, "more of a body that did not decode");
  in_ += bytes.size();
  auto result = run(0, bytes, out);
  failed_ = !result;
  return result;
}

Result<void> ContentDecoder::run(size_t link, std::string_view bytes, std::string& out) {
  if (link == links_.size()) return emit(bytes, out);
  std::array<char, kStep> chunk;
  for (;;) {
    const size_t before = bytes.size();
    STOCKADE_ASSIGN(const size_t size, links_[link]->step(bytes, chunk));
    if (size > 0) STOCKADE_TRY(run(link + 1, {chunk.data(), size}, out));
    if (size == 0 && bytes.size() == before) break;
  }
  if (!bytes.empty()) return malformed(links_[link]->coding, "that does not decode");
  return {};
}

Result<void> ContentDecoder::emit(std::string_view bytes, std::string& out) {
  out_ += bytes.size();
  if (out_ > limits_.output) return fail(ErrorKind::limit, "a body that decodes to more than {} bytes", limits_.output);
  if (out_ > limits_.ratio_free && out_ / limits_.ratio > in_)
    return fail(ErrorKind::limit, "a body that decodes to more than {} times its size", limits_.ratio);
  out.append(bytes);
  return {};
}

Result<void> ContentDecoder::finish() {
  if (failed_) return fail(ErrorKind::protocol, "the end of a body that did not decode");
  for (const auto& link : links_)
    if (!link->at_end) return malformed(link->coding, "that ends early");
  return {};
}

// ---- encoding

struct GzipEncoder::Stream {
  z_stream z{};
  bool made = false;
  ~Stream() {
    if (made) deflateEnd(&z);
  }
};

GzipEncoder::GzipEncoder() = default;
GzipEncoder::~GzipEncoder() = default;

Result<void> GzipEncoder::encode(std::string_view bytes, std::string& out, bool flush) {
  return run(bytes, out, flush ? Z_SYNC_FLUSH : Z_NO_FLUSH);
}

Result<void> GzipEncoder::finish(std::string& out) { return run({}, out, Z_FINISH); }

Result<void> GzipEncoder::run(std::string_view bytes, std::string& out, int mode) {
  if (!stream_) {
    stream_ = std::make_unique<Stream>();
    if (deflateInit2(&stream_->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) != Z_OK)
      return fail(ErrorKind::internal, "make a gzip encoder");
    stream_->made = true;
  }
  z_stream& z = stream_->z;
  z.next_in = bytes_of(bytes);
  z.avail_in = static_cast<uInt>(bytes.size());
  std::array<char, kStep> chunk;
  do {
    z.next_out = reinterpret_cast<Bytef*>(chunk.data());
    z.avail_out = static_cast<uInt>(chunk.size());
    if (deflate(&z, mode) == Z_STREAM_ERROR) return fail(ErrorKind::internal, "encode as gzip");
    out.append(chunk.data(), chunk.size() - z.avail_out);
  } while (z.avail_out == 0);
  return {};
}

}  // namespace stockade::net
