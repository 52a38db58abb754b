#include "egress/http1_message.h"

namespace stockade::egress {

loop::Task<Result<std::string>> read_http1_head(Wire& from, InBuffer& in, TimePoint idle, Inspector& inspector) {
  net::HeadReader reader;
  TimePoint deadline = idle;
  while (true) {
    auto taken = reader.feed(in.bytes());
    if (!taken) co_return std::unexpected(std::move(taken).error());
    if (*taken > 0) in.consume(*taken);
    in.charge_elsewhere(reader.complete() ? 0 : reader.held());
    if (reader.complete()) co_return reader.take();
    if (reader.started()) deadline = std::min(deadline, inspector.loop().now() + kHeadDeadline);
    auto count = co_await in.read_more(from, deadline);
    if (!count) co_return std::unexpected(std::move(count).error());
    if (*count > 0) continue;
    if (!reader.started()) co_return std::string();
    co_return fail(ErrorKind::protocol, "the head breaks off");
  }
}

loop::Task<Result<BodyPiece>> Http1BodyReader::read(Wire& from, InBuffer& in, Inspector& inspector,
                                                     TimePoint deadline) {
  BodyPiece piece;
  while (piece.bytes.empty() && !framer_.done()) {
    if (in.bytes().empty()) {
      if (!from) co_return fail(ErrorKind::internal, "closed meanwhile");
      auto count = co_await in.read_more(from, deadline);
      if (!count && count.error().kind() == ErrorKind::limit && inspector.loop().now() >= deadline) co_return piece;
      if (!count) co_return std::unexpected(std::move(count).error());
      if (*count == 0) {
        auto ended = framer_.finish();
        if (!ended) co_return std::unexpected(std::move(ended).error());
        break;
      }
    }
    auto taken = framer_.consume(in.bytes(), &piece.bytes);
    if (!taken) co_return std::unexpected(std::move(taken).error());
    in.consume(*taken);
  }
  if (framer_.done()) {
    done_ = piece.end = true;
    piece.trailers = framer_.take_trailers();
  }
  co_return piece;
}

void Http1BodyReader::become_tunnel() {
  framer_ = net::BodyFramer({net::BodyKind::until_close, 0}, side_);
  done_ = false;
}

Result<std::string> Http1BodyWriter::framed(BodyPiece piece) {
  if (done_ && (!piece.bytes.empty() || !piece.end)) return fail(ErrorKind::internal, "bytes behind a body's end");
  if (kind_ == net::BodyKind::chunked) {
    std::string out;
    if (!piece.bytes.empty()) out = fmt::format("{:x}\r\n{}\r\n", piece.bytes.size(), piece.bytes);
    if (!piece.end) return out;
    out += "0\r\n";
    for (const net::HttpField& field : piece.trailers) out += field.name + ": " + field.value + "\r\n";
    return out + "\r\n";
  }
  if (kind_ == net::BodyKind::until_close) return std::move(piece.bytes);
  if (kind_ == net::BodyKind::none) left_ = 0;
  if (piece.bytes.size() > left_) return fail(ErrorKind::protocol, "a body longer than its head says");
  left_ -= piece.bytes.size();
  if (piece.end && left_ > 0) return fail(ErrorKind::protocol, "a body shorter than its head says");
  return std::move(piece.bytes);
}

loop::Task<Result<void>> Http1BodyWriter::write(Wire& to, BodyPiece piece, Inspector& inspector) {
  const bool end = piece.end;
  auto bytes = framed(std::move(piece));
  if (!bytes) co_return std::unexpected(std::move(bytes).error());
  if (!to) co_return fail(ErrorKind::internal, "closed meanwhile");
  Result<void> written;
  if (!bytes->empty()) written = co_await to.write(*bytes, inspector.loop().now() + kHttpIdle);
  if (written && end) done_ = true;
  co_return written;
}

void Http1BodyWriter::become_tunnel() {
  kind_ = net::BodyKind::until_close;
  done_ = false;
}

}  // namespace stockade::egress
