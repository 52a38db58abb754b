#include "egress/http2_connection.h"

#include "net/http2_convert.h"

namespace stockade::egress {

namespace {

constexpr size_t kOutputPiece = 64 * 1024;
constexpr Duration kRestAfter = std::chrono::seconds(2);  // of silence: then an idle connection gives memory back
constexpr Duration kGoodbye = std::chrono::seconds(1);

}  // namespace

Http2Connection::Http2Connection(Inspector& inspector, Wire wire)
    : inspector_(inspector), wire_(std::move(wire)), output_(inspector.loop()), last_used_(inspector.loop().now()) {}

Http2Connection::~Http2Connection() { inspector_.buffered_bytes() -= charged_; }

void Http2Connection::charge(size_t more) {
  charged_ += more;
  inspector_.buffered_bytes() += more;
}

void Http2Connection::discharge(size_t less) {
  less = std::min(less, charged_);
  charged_ -= less;
  inspector_.buffered_bytes() -= less;
}

std::shared_ptr<Http2Stream> Http2Connection::add_stream(int32_t id) {
  auto stream = std::make_shared<Http2Stream>(inspector_.loop());
  streams_[id] = stream;
  return stream;
}

std::shared_ptr<Http2Stream> Http2Connection::stream_of(int32_t id) const {
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second;
}

void Http2Connection::flush() { output_.notify_all(); }

void Http2Connection::retire() {
  closes_when_idle_ = true;
  if (streams_.empty()) wire_.close();
}

void Http2Connection::stream_left(int32_t id) {
  streams_.erase(id);
  last_used_ = inspector_.loop().now();
  if (closes_when_idle_ && streams_.empty() && session_->pending_output().empty()) wire_.close();
}

// ---- the wire
// ------------------------------------------------------------------------------------------------------------

// What has come; an idle connection rests before it waits for long.
loop::Task<Result<size_t>> Http2Connection::read(std::string& into) {
  while (true) {
    if (inspector_.buffered_bytes() > kBufferedBytes)
      co_return fail(ErrorKind::limit, "too many bytes wait to be judged");
    auto now = wire_.read_now(into);
    if (!now) co_return std::unexpected(std::move(now).error());
    if (*now) co_return **now;
    auto more = co_await wire_.await_more(inspector_.loop().now() + kRestAfter);
    if (!more && more.error().kind() == ErrorKind::limit && wire_) {
      if (session_->open_streams() == 0) session_->rest();
      more = co_await wire_.await_more(inspector_.loop().now() + kHttpIdle);
    }
    if (!more) co_return std::unexpected(std::move(more).error());
  }
}

loop::Task<void> Http2Connection::run(std::shared_ptr<Http2Connection> self, std::string first) {
  Inspector& inspector = self->inspector_;
  inspector.loop().spawn(write_output(self));
  std::string bytes = std::move(first);
  Error why(ErrorKind::unavailable, "the peer hung up");
  bool more = true;
  while (more) {
    self->session_->advance(std::chrono::duration_cast<std::chrono::milliseconds>(
        inspector.loop().now().time_since_epoch()));
    auto fed = self->session_->feed(bytes);
    bytes.clear();
    self->dispatch();
    self->flush();
    if (!fed) {
      why = std::move(fed).error();
      break;
    }
    if (self->closed_ || (self->closes_when_idle_ && self->streams_.empty())) break;
    auto count = co_await self->read(bytes);
    if (!count) why = std::move(count).error();
    more = count && *count > 0;
  }
  if (!self->session_->failed()) {
    (void)self->session_->finish();
    self->session_->go_away(net::H2Code::no_error);
    self->dispatch();
  }
  self->reading_ = false;
  self->close(why);
  self->flush();
}

loop::Task<void> Http2Connection::write_output(std::shared_ptr<Http2Connection> self) {
  while (true) {
    while (!self->session_->pending_output().empty() && self->wire_) {
      const std::string piece(self->session_->pending_output().substr(0, kOutputPiece));
      auto written = co_await self->wire_.write(piece, self->inspector_.loop().now() + kHttpIdle);
      if (!written) {
        self->close(written.error());
        self->wire_.close();
        co_return;
      }
      self->session_->drop_output(piece.size());
      self->dispatch();
    }
    if (!self->reading_) break;
    co_await self->output_.wait();
  }
  if (!self->wire_) co_return;
  const TimePoint deadline = self->inspector_.loop().now() + kGoodbye;
  co_await self->wire_.finish(deadline);
  co_await self->wire_.drain(kOutputPiece, deadline);
  self->wire_.close();
}

void Http2Connection::break_off(Http2Stream& stream, Error why) {
  if (!stream.broken) stream.broken = std::move(why);
  stream.changed.notify_all();
  if (const auto then = std::exchange(stream.when_broken, {})) then();
}

void Http2Connection::close(const Error& why) {
  closed_ = true;
  // What hears of it may let go of streams.
  for (auto& [id, stream] : std::exchange(streams_, {})) break_off(*stream, why);
  on_settings();
}

// ---- events
// --------------------------------------------------------------------------------------------------------------

void Http2Connection::dispatch() {
  for (auto& event : session_->take_events())
    std::visit([this](auto& one) { on_event(std::move(one)); }, event);
}

void Http2Connection::on_event(net::H2Body body) {
  const auto stream = stream_of(body.stream);
  if (!stream || stream->broken) {
    session_->consume(body.stream, body.bytes.size());
    return;
  }
  charge(body.bytes.size());
  stream->incoming.push_back({std::move(body.bytes), false, {}});
  stream->changed.notify_all();
}

void Http2Connection::on_event(net::H2Trailers trailers) {
  const auto stream = stream_of(trailers.stream);
  if (stream) stream->incoming.push_back({{}, false, std::move(trailers.fields)});
}

void Http2Connection::on_event(const net::H2End& end) {
  const auto stream = stream_of(end.stream);
  if (!stream) return;
  if (stream->incoming.empty()) stream->incoming.emplace_back();
  stream->incoming.back().end = true;
  stream->ended = true;
  stream->changed.notify_all();
}

void Http2Connection::on_event(const net::H2Reset& reset) {
  const auto stream = stream_of(reset.stream);
  on_reset(reset, stream != nullptr);
  if (!stream) return;
  const std::string reason =
      reset.by_peer ? fmt::format("the peer ended the stream: {}", net::h2_code_name(reset.code))
                    : fmt::format("malformed HTTP/2: {}", reset.reason.empty() ? "the stream was reset" : reset.reason);
  streams_.erase(reset.stream);
  break_off(*stream, Error(reset.by_peer ? ErrorKind::unavailable : ErrorKind::protocol, reason));
}

void Http2Connection::on_event(const net::H2Writable& writable) {
  if (const auto stream = stream_of(writable.stream)) stream->changed.notify_all();
}

// ---- for streams
// ---------------------------------------------------------------------------------------------------------

loop::Task<Result<BodyPiece>> Http2Connection::read_body(int32_t id, std::shared_ptr<Http2Stream> stream,
                                                              TimePoint deadline) {
  while (stream->incoming.empty()) {
    if (stream->broken) co_return std::unexpected(*stream->broken);
    if (co_await stream->changed.wait(deadline) == loop::Wake::timeout) co_return BodyPiece{};
  }
  BodyPiece piece = std::move(stream->incoming.front());
  stream->incoming.pop_front();
  discharge(piece.bytes.size());
  if (!closed_ && !piece.bytes.empty()) {
    session_->consume(id, piece.bytes.size());
    flush();
  }
  co_return piece;
}

loop::Task<Result<void>> Http2Connection::write_body(int32_t id, std::shared_ptr<Http2Stream> stream, BodyPiece piece) {
  std::string_view left = piece.bytes;
  const bool ends_here = piece.end && piece.trailers.empty();
  while (!left.empty() || ends_here) {
    if (stream->broken) co_return std::unexpected(*stream->broken);
    if (closed_) co_return fail(ErrorKind::unavailable, "the connection is closed");
    auto taken = session_->send_body(id, left, ends_here);
    if (!taken) co_return std::unexpected(std::move(taken).error());
    const bool all = *taken == left.size();
    left.remove_prefix(*taken);
    flush();
    if (all && (ends_here || !piece.end)) co_return Result<void>{};
    if (all) break;
    if (co_await stream->changed.wait(inspector_.loop().now() + kHttpIdle) == loop::Wake::timeout)
      co_return fail(ErrorKind::limit, "the peer takes no bytes before the deadline");
  }
  if (!piece.end) co_return Result<void>{};
  if (closed_) co_return fail(ErrorKind::unavailable, "the connection is closed");
  auto trailers = net::trailers_to_h2(piece.trailers);
  auto sent = trailers.empty() ? session_->end(id) : session_->send_trailers(id, std::move(trailers));
  flush();
  co_return sent;
}

void Http2Connection::abort(int32_t id, Http2Stream& stream, net::H2Code code) {
  if (!stream.broken) stream.broken = Error(ErrorKind::internal, "closed meanwhile");
  for (const BodyPiece& piece : stream.incoming) discharge(piece.bytes.size());
  stream.incoming.clear();
  stream.changed.notify_all();
  if (!closed_ && streams_.contains(id)) {
    session_->reset(id, code);
    flush();
  }
  streams_.erase(id);
}

}  // namespace stockade::egress
