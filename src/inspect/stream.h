// StreamScanner: one direction of one flow, inspected while it passes. The caller keeps the bytes that it has fed and
// not yet let go; each feed says how many of them may leave now, and what was found in exactly those. So no byte of a
// finding leaves before the finding is known, and a secret that is split over feeds is found like one that is not.
//
// Held back are: the last kStreamHold bytes, and from its beginning whatever is still growing (a match, a word without
// an end, a key's block), up to the engine's longest span. Memory is constant, whatever the length of the stream: one
// step, the held bytes, and kStreamContext bytes before them that have left and still give context.
//
// Where the sender waits for an answer (a protocol of questions and answers), pause() lets go what is not the beginning
// of something: held back is then only a last word that has a secret's prefix, and a key's block without an end. A
// secret that was cut elsewhere is found when it is whole, and what had left of it by then has left.
//
// Not covered: values spread wider than that, and compressed data that is longer (content encodings are the caller's to
// undo, before the bytes come here).
#pragma once

#include <optional>

#include "inspect/engine.h"

namespace stockade::inspect {

inline constexpr size_t kStreamHold = 4096;
inline constexpr size_t kStreamContext = 1024;
inline constexpr size_t kStreamStep = 64 * 1024;  // scanned at once
inline constexpr size_t kStreamLeast = 512;       // fewer new bytes than this wait for more (or for the end)

struct StreamOptions {
  Direction direction = Direction::out;
  std::string place = "body";
  // Events (SSE) are let go where they end, at an empty line, instead of when kStreamHold more bytes have come: a
  // model's words would otherwise come late. Something that is growing is held all the same.
  bool release_at_empty_lines = false;
};

class StreamScanner {
 public:
  StreamScanner(Scanner& scanner, StreamOptions options) : scanner_(&scanner), options_(std::move(options)) {}

  struct Fed {
    std::vector<Finding> findings;  // in the bytes that are released with them; offsets count from the stream's start
    size_t release = 0;             // leading bytes, of all that were fed and not yet released
  };
  // `end`: nothing comes any more, and everything is released.
  Fed feed(std::string_view bytes, bool end);
  Fed pause();
  uint64_t released() const { return base_ + context_; }
  size_t held() const { return buffer_.size() - context_; }

 private:
  enum class Step { more, pause, end };
  void step(Step kind, Fed& fed);
  size_t hold_from(const std::vector<Match>& matches) const;
  size_t hold_beginning() const;
  std::optional<size_t> open_key_block() const;
  bool is_new(const Match& match);

  Scanner* scanner_;
  StreamOptions options_;
  std::string buffer_;  // context, then what is held
  uint64_t base_ = 0;   // the stream's offset of buffer_[0]
  size_t context_ = 0;  // bytes of buffer_ that have left
  size_t unscanned_ = 0;
  struct Told {
    std::string fingerprint;
    uint64_t begin;
    uint64_t end;
  };
  std::vector<Told> told_;  // of the context: it is scanned again
  bool told_budget_ = false;
};

}  // namespace stockade::inspect
