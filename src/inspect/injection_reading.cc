#include "inspect/injection_reading.h"

namespace stockade::inspect {

namespace {

constexpr size_t kTagLettersAlone = 16;  // a flag has at most six
constexpr size_t kShortest = 12;         // of a hidden piece that may be an order

bool has_byte(std::string_view text, char c) { return text.find(c) != std::string_view::npos; }

bool is_half_hidden(HiddenKind kind) {
  return kind == HiddenKind::attribute_text || kind == HiddenKind::meta || kind == HiddenKind::noscript ||
         kind == HiddenKind::code_comment || kind == HiddenKind::json_key;
}

class Reader {
 public:
  Reader(const Folder& folder, ViewVisitor& visitor) : folder_(folder), visitor_(visitor) {}

  // A text and every other way to read it.
  void read(std::string_view text, ViewOrigin origin, size_t begin, size_t end, bool decode) {
    std::string folded;
    std::string_view view = text;
    if (!is_ascii(text)) {
      FoldedText result = folder_.fold(text);
      origin.disguised = origin.disguised || result.mixed_scripts > 0 || result.invisible > 2;
      if (result.mixed_scripts > 0 && origin.through.empty()) origin.through = "look-alike letters";
      folded = std::move(result.text);
      view = folded;
    }
    const bool whole = begin == 0 && view.size() == text.size();
    const bool with_rot13 = visitor_.visit({view, origin, begin, end, whole});
    if (!decode) return;
    ViewOrigin other = origin;
    other.disguised = true;
    if (const std::string joined = joined_letters(view); !joined.empty()) {
      other.through = "letter-spacing";
      visitor_.visit({joined, other, begin, end, false});
    }
    if (const std::string plain = without_leet(view); !plain.empty()) {
      other.through = "leetspeak";
      visitor_.visit({plain, other, begin, end, whole});
    }
    // Base64 has upper and lower case, which the folded view has not.
    for (const DecodedRun& run : decoded_runs(text, with_rot13)) {
      static constexpr std::string_view kNames[] = {"base64", "hex", "rot13", "percent-encoding"};
      ViewOrigin inner = origin;
      inner.decoded = run.encoding != Encoding::percent;
      inner.through = kNames[static_cast<size_t>(run.encoding)];
      read(run.text, inner, whole ? run.begin : begin, whole ? run.end : end, false);
    }
  }

 private:
  const Folder& folder_;
  ViewVisitor& visitor_;
};

}  // namespace

void read_views(std::string_view window, TextFormat format, const Folder& folder, ViewVisitor& visitor) {
  Reader reader(folder, visitor);
  // Most text is plain: nothing hidden, nothing to decode but itself.
  const bool plain = format == TextFormat::plain || (format == TextFormat::markdown && !has_byte(window, '<') &&
                                                     !has_byte(window, '[') && !has_byte(window, '&'));
  if (plain && is_ascii(window) && !has_byte(window, '\x1b')) {
    reader.read(window, {}, 0, window.size(), true);
    return;
  }
  const TextReading reading = read_text(window, format);
  reader.read(reading.visible == window ? window : std::string_view(reading.visible), {}, 0, window.size(), true);
  // Tags stripped, words may have joined that were apart; and what we took for markup may be text to a model.
  if (format == TextFormat::markdown && reading.visible != window) reader.read(window, {}, 0, window.size(), false);
  size_t views = 0;
  for (const HiddenText& piece : reading.hidden) {
    if ((piece.kind == HiddenKind::tag_characters || piece.kind == HiddenKind::variation_selectors) &&
        piece.text.size() >= kTagLettersAlone)
      visitor.invisible_message(piece);
    if (piece.text.size() < kShortest || piece.kind == HiddenKind::script || ++views > kHiddenViews) continue;
    ViewOrigin origin{.hidden = is_strongly_hidden(piece.kind),
                      .half_hidden = is_half_hidden(piece.kind),
                      .through = hidden_kind_name(piece.kind)};
    reader.read(piece.text, origin, piece.begin, piece.end, true);
  }
}

}  // namespace stockade::inspect
