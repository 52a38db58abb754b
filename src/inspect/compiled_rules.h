// CompiledRules: rules as the engine uses them, compiled into one block of bytes without pointers. That of the built-in
// rules is made by the build and lies in the program as constant data, so that a process has it at no cost and shares
// it with all others; rules that are loaded are compiled into the same form. Patterns are only text in it: RE2 makes
// each at its first hit (engine.h). Immutable, any thread.
#pragma once

#include <memory>

#include "inspect/pattern_database.h"
#include "inspect/rules.h"

namespace stockade::inspect {

// What the first stage finds besides rules: text in ROT13 or backwards, and compressed data.
enum class Trigger : uint8_t { rot13, reversed, gzip, zstd, pdf_stream, zip_entry };

class CompiledRules {
 public:
  // Where the first stage looks for a rule.
  enum class Stage : uint8_t { database, digits, phrases, base58_run, token_run, capitals_run };
  struct Text {
    uint32_t at = 0;
    uint32_t size = 0;
  };
  struct Record {
    Text id;
    Text title;
    Text pattern;   // empty for phrases
    Text keywords;  // each with a line feed behind it
    double entropy = 0;
    uint32_t span = 0;
    uint16_t validators = 0;  // a bit each
    Severity severity = Severity::high;
    Stage stage = Stage::database;
    bool out = true;
    bool in = false;
    uint8_t reserved[6] = {};  // no padding: what is built is the same each time

    bool looks_at(Direction direction) const { return direction == Direction::out ? out : in; }
  };

  static Result<std::shared_ptr<const CompiledRules>> compile(const std::vector<Rule>& rules);
  // `image` must stay where it is.
  static Result<std::shared_ptr<const CompiledRules>> from_image(Image image);
  // `image` where this library can use it, else compiled now of the same rules: `yaml`.
  static Result<std::shared_ptr<const CompiledRules>> open(Image image, std::string_view yaml, const std::string& file);
  static Result<std::shared_ptr<const CompiledRules>> builtin();

  std::span<const Record> rules() const;
  std::string_view text(const Text& text) const;
  // Ids of the database's patterns: those below rules().size() are rules, the others these.
  std::span<const Trigger> triggers() const;
  const hs_database* database() const { return database_.get(); }
  Image image() const { return image_; }

 private:
  struct Layout;
  CompiledRules(Image image, PatternDatabase database) : image_(image), database_(std::move(database)) {}
  const Layout& layout() const;

  Image image_;
  PatternDatabase database_;  // lies in the image
  ImageBuffer owned_;         // empty where the image is the program's
};

}  // namespace stockade::inspect
