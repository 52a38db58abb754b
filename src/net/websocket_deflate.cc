#include "net/websocket_deflate.h"

#include <zlib.h>

#include <algorithm>
#include <charconv>

#include "net/http_field.h"

namespace stockade::net {

namespace {

constexpr std::string_view kName = "permessage-deflate";
// The end of an empty stored block, which senders leave out (RFC 7692, section 7.2.1).
constexpr std::string_view kTail("\x00\x00\xff\xff", 4);
constexpr size_t kStep = 16 * 1024;
constexpr size_t kExtensionLimit = 32;
constexpr size_t kParameterLimit = 16;

Bytef* bytes_of(std::string_view text) { return reinterpret_cast<Bytef*>(const_cast<char*>(text.data())); }

// zlib can't make a raw stream with a window of 256 bytes (it makes 512 of it), so 8 is refused where we compress.
std::optional<uint8_t> parse_window_bits(const std::string& text) {
  uint8_t bits = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bits);
  if (error != std::errc() || end != text.data() + text.size() || text[0] == '0' || bits < 8 || bits > 15)
    return std::nullopt;
  return bits;
}

class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  void skip_space() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\t')) rest_.remove_prefix(1);
  }
  bool take(char c) {
    skip_space();
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool at_end() {
    skip_space();
    return rest_.empty();
  }
  std::optional<std::string> token() {
    skip_space();
    size_t size = 0;
    while (size < rest_.size() && is_token(rest_.substr(size, 1))) ++size;
    if (size == 0) return std::nullopt;
    const std::string out(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return out;
  }
  // A quoted value must be a token once unquoted (RFC 6455, section 9.1).
  std::optional<std::string> value() {
    if (!take('"')) return token();
    auto inner = token();
    return inner && rest_.starts_with('"') && take('"') ? inner : std::nullopt;
  }

 private:
  std::string_view rest_;
};

// The parameters of an offer or an answer; nothing when they are not what section 7.1 allows.
std::optional<WebSocketDeflateParameters> read_parameters(const WebSocketExtension& extension, bool answer) {
  WebSocketDeflateParameters read;
  std::vector<std::string_view> seen;
  for (const auto& [name, value] : extension.parameters) {
    if (std::find(seen.begin(), seen.end(), name) != seen.end()) return std::nullopt;
    seen.push_back(name);
    if (name == "server_no_context_takeover" || name == "client_no_context_takeover") {
      if (value) return std::nullopt;
      (name[0] == 's' ? read.server_no_context_takeover : read.client_no_context_takeover) = true;
      continue;
    }
    if (name == "client_max_window_bits" && !value && !answer) {
      read.client_max_window_bits = 0;
      continue;
    }
    const auto bits = value ? parse_window_bits(*value) : std::nullopt;
    if (!bits) return std::nullopt;
    if (name == "client_max_window_bits") {
      read.client_max_window_bits = bits;
    } else if (name == "server_max_window_bits") {
      read.server_max_window_bits = *bits;
    } else {
      return std::nullopt;
    }
  }
  return read;
}

}  // namespace

// ---- negotiation

Result<std::vector<WebSocketExtension>> parse_websocket_extensions(std::string_view value) {
  const auto malformed = [] { return fail(ErrorKind::protocol, "a malformed Sec-WebSocket-Extensions"); };
  std::vector<WebSocketExtension> extensions;
  Scanner scanner(value);
  do {
    if (extensions.size() == kExtensionLimit) return fail(ErrorKind::protocol, "too many WebSocket extensions");
    auto name = scanner.token();
    if (!name) return malformed();
    WebSocketExtension extension{lower_case(*name), {}};
    while (scanner.take(';')) {
      if (extension.parameters.size() == kParameterLimit) return malformed();
      auto parameter = scanner.token();
      if (!parameter) return malformed();
      std::optional<std::string> setting;
      if (scanner.take('=')) {
        setting = scanner.value();
        if (!setting) return malformed();
      }
      extension.parameters.emplace_back(lower_case(*parameter), std::move(setting));
    }
    extensions.push_back(std::move(extension));
  } while (scanner.take(','));
  if (!scanner.at_end()) return malformed();
  return extensions;
}

std::optional<WebSocketDeflateParameters> choose_deflate_offer(const std::vector<WebSocketExtension>& offers) {
  for (const WebSocketExtension& offer : offers) {
    if (offer.name != kName) continue;
    const auto read = read_parameters(offer, false);
    if (read && read->server_max_window_bits > 8) return read;
  }
  return std::nullopt;
}

WebSocketDeflateParameters answer_deflate_offer(const WebSocketDeflateParameters& offer, bool thrifty) {
  WebSocketDeflateParameters answer;
  answer.server_no_context_takeover = offer.server_no_context_takeover || thrifty;
  answer.client_no_context_takeover = offer.client_no_context_takeover || thrifty;
  answer.server_max_window_bits = offer.server_max_window_bits;
  // A client's window smaller than it asks for is nothing that we need.
  if (offer.client_max_window_bits.value_or(0) != 0) answer.client_max_window_bits = offer.client_max_window_bits;
  return answer;
}

Result<std::optional<WebSocketDeflateParameters>> read_deflate_answer(const std::vector<WebSocketExtension>& answer,
                                                                      const WebSocketDeflateParameters& offer) {
  if (answer.empty()) return std::optional<WebSocketDeflateParameters>();
  if (answer.size() > 1 || answer[0].name != kName)
    return fail(ErrorKind::protocol, "a WebSocket extension that was not offered");
  const auto read = read_parameters(answer[0], true);
  if (!read) return fail(ErrorKind::protocol, "malformed parameters of permessage-deflate");
  const bool more_than_asked = (offer.server_no_context_takeover && !read->server_no_context_takeover) ||
                               read->server_max_window_bits > offer.server_max_window_bits ||
                               (read->client_max_window_bits && !offer.client_max_window_bits);
  if (more_than_asked) return fail(ErrorKind::protocol, "parameters of permessage-deflate that were not offered");
  if (read->client_max_window_bits == 8) return fail(ErrorKind::unavailable, "a deflate window of 256 bytes");
  return read;
}

std::string write_deflate_offer(const WebSocketDeflateParameters& offer) {
  std::string out(kName);
  if (offer.server_no_context_takeover) out += "; server_no_context_takeover";
  if (offer.client_no_context_takeover) out += "; client_no_context_takeover";
  if (offer.server_max_window_bits < 15)
    out += "; server_max_window_bits=" + std::to_string(offer.server_max_window_bits);
  if (!offer.client_max_window_bits) return out;
  out += "; client_max_window_bits";
  if (*offer.client_max_window_bits != 0) out += "=" + std::to_string(*offer.client_max_window_bits);
  return out;
}

std::string write_deflate_answer(const WebSocketDeflateParameters& answer) { return write_deflate_offer(answer); }

// ---- inflating

struct WebSocketInflater::Stream {
  z_stream z{};
  bool made = false;
  ~Stream() {
    if (made) inflateEnd(&z);
  }
};

WebSocketInflater::WebSocketInflater(const WebSocketDeflateOptions& options) : options_(options) {}
WebSocketInflater::~WebSocketInflater() = default;

Result<void> WebSocketInflater::inflate(std::string_view bytes, std::string& message, size_t limit) {
  in_ += bytes.size();
  return run(bytes, message, limit);
}

Result<void> WebSocketInflater::run(std::string_view bytes, std::string& message, size_t limit) {
  if (bytes.empty()) return {};
  if (!stream_) {
    stream_ = std::make_unique<Stream>();
    if (inflateInit2(&stream_->z, -std::max<int>(options_.window_bits, 8)) != Z_OK)
      return fail(ErrorKind::internal, "make an inflater");
    stream_->made = true;
  }
  z_stream& z = stream_->z;
  z.next_in = bytes_of(bytes);
  z.avail_in = static_cast<uInt>(bytes.size());
  for (;;) {
    if (finished_) {
      // A message may be several deflate streams, each with a final block (RFC 7692, section 7.2.3.4).
      if (z.avail_in == 0) return {};
      inflateResetKeep(&z);  // the next stream may still refer to what came before
      finished_ = false;
    }
    const size_t before = message.size();
    // One byte more than allowed, so that the limit is noticed without inflating a bomb first.
    const size_t step = std::min(kStep, limit + 1 - std::min(before, limit));
    message.resize(before + step);
    z.next_out = bytes_of(std::string_view(message).substr(before));
    z.avail_out = static_cast<uInt>(step);
    const int result = ::inflate(&z, Z_SYNC_FLUSH);
    message.resize(before + step - z.avail_out);
    if (message.size() > limit) return fail(ErrorKind::limit, "WebSocket: a message that inflates to too much");
    if (result == Z_STREAM_END) {
      finished_ = true;
      continue;
    }
    if (result != Z_OK && result != Z_BUF_ERROR)
      return fail(ErrorKind::protocol, "WebSocket: a message that does not inflate");
    if (z.avail_out > 0) return {};
  }
}

Result<void> WebSocketInflater::end_message(std::string& message, size_t limit) {
  if (!finished_) STOCKADE_TRY(run(kTail, message, limit));
  const uint64_t came = std::exchange(in_, 0);
  if (!options_.context_takeover) {
    stream_.reset();
    finished_ = false;
  }
  // Only now: how much has come when something is inflated depends on how the bytes were cut.
  if (message.size() > std::max<uint64_t>(came * options_.ratio, options_.ratio_free))
    return fail(ErrorKind::limit, "WebSocket: a message that inflates to {} times its size", options_.ratio);
  return {};
}

// ---- deflating

struct WebSocketDeflater::Stream {
  z_stream z{};
  bool made = false;
  ~Stream() {
    if (made) deflateEnd(&z);
  }
};

WebSocketDeflater::WebSocketDeflater(const WebSocketDeflateOptions& options) : options_(options) {}
WebSocketDeflater::~WebSocketDeflater() = default;

Result<std::string> WebSocketDeflater::deflate(std::string_view message) {
  if (message.empty()) return std::string(1, '\0');  // section 7.2.3.6
  if (!stream_) {
    stream_ = std::make_unique<Stream>();
    // 9: zlib refuses a raw window of 256 bytes; negotiation does not agree to one.
    if (deflateInit2(&stream_->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -std::max<int>(options_.window_bits, 9), 8,
                     Z_DEFAULT_STRATEGY) != Z_OK)
      return fail(ErrorKind::internal, "make a deflater");
    stream_->made = true;
  }
  z_stream& z = stream_->z;
  std::string out;
  z.next_in = bytes_of(message);
  z.avail_in = static_cast<uInt>(message.size());
  do {
    const size_t before = out.size();
    out.resize(before + kStep);
    z.next_out = bytes_of(std::string_view(out).substr(before));
    z.avail_out = kStep;
    if (::deflate(&z, Z_SYNC_FLUSH) == Z_STREAM_ERROR) return fail(ErrorKind::internal, "deflate a message");
    out.resize(before + kStep - z.avail_out);
  } while (z.avail_out == 0);
  if (!std::string_view(out).ends_with(kTail)) return fail(ErrorKind::internal, "deflate a message to its end");
  out.resize(out.size() - kTail.size());
  if (!options_.context_takeover) stream_.reset();
  return out;
}

}  // namespace stockade::net
