#include "inspect/injection_tokens.h"

#include <algorithm>
#include <array>

#include "base/printable.h"

namespace stockade::inspect {

namespace {

constexpr size_t kStemLetters = 5;
constexpr size_t kLongWord = 24;      // ASCII: no word of a language that is looked for
constexpr size_t kMarkupLetters = 4;  // of a run of markup that tell runs apart
constexpr uint32_t kSeed = 2166136261u;
constexpr uint32_t kPrime = 16777619u;

enum Class : uint8_t { kGap, kLetter, kDigit, kWide, kStop, kMarkup };

struct Classes {
  std::array<Class, 256> of;
  constexpr Classes() : of() {
    for (auto& c : of) c = kGap;
    for (size_t c = 'a'; c <= 'z'; ++c) of[c] = kLetter;
    for (size_t c = 'A'; c <= 'Z'; ++c) of[c] = kLetter;
    for (size_t c = '0'; c <= '9'; ++c) of[c] = kDigit;
    for (size_t c = 0x80; c < 256; ++c) of[c] = kWide;
    for (const char c : {'.', '!', '?', ':', ';'}) of[static_cast<size_t>(c)] = kStop;
    for (const char c : {'<', '>', '|', '[', ']', '{', '}', '#', '=', '*', '-', '(', '"', '`'})
      of[static_cast<size_t>(c)] = kMarkup;
  }
};
constexpr Classes kClasses;

Class class_of(char c) { return kClasses.of[static_cast<unsigned char>(c)]; }

constexpr uint32_t add(uint32_t hash, unsigned char byte) { return (hash ^ byte) * kPrime; }
// ASCII letters have no case; a byte of anything else has been folded.
constexpr unsigned char lower(char c) { return static_cast<unsigned char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c); }

constexpr uint32_t hash_of(std::string_view name) {
  uint32_t hash = kSeed;
  for (const char c : name) hash = add(hash, static_cast<unsigned char>(c));
  return hash;
}
constexpr uint32_t kNumber = hash_of("<number>");
constexpr uint32_t kMixed = hash_of("<mixed>");
constexpr uint32_t kLong = hash_of("<long>");
constexpr uint32_t kUrl = hash_of("<url>");
constexpr uint32_t kMail = hash_of("<mail>");

// Scripts that are written without spaces: each letter is a word.
bool stands_alone(uint32_t c) {
  return (c >= 0x2e80 && c <= 0x9fff) || (c >= 0xf900 && c <= 0xfaff) || (c >= 0x20000 && c <= 0x2fa1d) ||
         (c >= 0xe00 && c <= 0xeff) || (c >= 0x1000 && c <= 0x109f) || (c >= 0x1780 && c <= 0x17ff);
}

class Tokenizer {
 public:
  Tokenizer(std::string_view text, const WordClasses& classes, std::vector<Token>& tokens)
      : text_(text), classes_(classes), tokens_(tokens) {}

  void run() {
    while (at_ < text_.size()) {
      switch (class_of(text_[at_])) {
        case kLetter:
        case kDigit:
        case kWide:
          word();
          break;
        case kStop:
          begins_ = true;
          ++at_;
          break;
        case kMarkup:
          markup();
          break;
        case kGap:
          if (text_[at_] == '\n' && at_ + 1 < text_.size() && text_[at_ + 1] == '\n') begins_ = true;
          ++at_;
          break;
      }
    }
  }

 private:
  void push(size_t begin, uint32_t word, uint32_t meaning) {
    tokens_.push_back({static_cast<uint32_t>(begin), static_cast<uint32_t>(at_), word, meaning, markup_, begins_});
    markup_ = 0;
    begins_ = false;
  }

  void markup() {
    uint32_t hash = kSeed;
    for (size_t count = 0; at_ < text_.size() && class_of(text_[at_]) == kMarkup; ++at_)
      if (count++ < kMarkupLetters) hash = add(hash, static_cast<unsigned char>(text_[at_]));
    markup_ = hash;
  }

  void word() {
    const size_t begin = at_;
    uint32_t hash = kSeed;
    uint32_t stem = kSeed;
    size_t letters = 0;
    size_t digits = 0;
    while (at_ < text_.size()) {
      const Class kind = class_of(text_[at_]);
      if (kind == kLetter || kind == kDigit) {
        digits += kind == kDigit;
        hash = add(hash, lower(text_[at_]));
        if (letters < kStemLetters) stem = add(stem, lower(text_[at_]));
        ++letters;
        ++at_;
      } else if (kind == kWide) {
        const CodePoint point = decode_utf8(text_.substr(at_));
        const size_t length = point.length == 0 ? 1 : point.length;
        const bool alone = point.length != 0 && stands_alone(point.value);
        if (alone && at_ > begin) break;
        for (size_t i = 0; i < length; ++i) {
          const auto byte = static_cast<unsigned char>(text_[at_ + i]);
          hash = add(hash, byte);
          if (letters < kStemLetters) stem = add(stem, byte);
        }
        ++letters;
        at_ += length;
        if (alone) break;
      } else if (text_[at_] == '\'' && at_ + 1 < text_.size() && class_of(text_[at_ + 1]) == kLetter) {
        ++at_;  // don't
      } else {
        break;
      }
    }
    if (is_address(begin)) return;
    if (digits == letters)
      push(begin, kNumber, kNumber);
    else if (letters > kLongWord)
      push(begin, kLong, kLong);
    else if (digits > 0 && letters > 3)
      push(begin, kMixed, kMixed);
    else if (const uint32_t meaning = classes_.of(hash))
      push(begin, hash, meaning);
    else
      push(begin, hash, stem);
  }

  bool is_address(size_t begin) {
    if (at_ + 3 < text_.size() && text_[at_] == ':' && text_[at_ + 1] == '/' && text_[at_ + 2] == '/') {
      while (at_ < text_.size() && !ends_address(text_[at_])) ++at_;
      push(begin, kUrl, kUrl);
      return true;
    }
    if (at_ + 1 < text_.size() && text_[at_] == '@' && is_ascii_word(text_[at_ + 1])) {
      // The parts of its name before the sign, as in "first.last@", are a part of it.
      while (!tokens_.empty() && begin > 0 && tokens_.back().end == begin - 1 && text_[begin - 1] == '.') {
        begin = tokens_.back().begin;
        markup_ = tokens_.back().markup;
        begins_ = tokens_.back().begins;
        tokens_.pop_back();
      }
      ++at_;
      while (at_ < text_.size() && (is_ascii_word(text_[at_]) || text_[at_] == '-' ||
                                    (text_[at_] == '.' && at_ + 1 < text_.size() && is_ascii_word(text_[at_ + 1]))))
        ++at_;
      push(begin, kMail, kMail);
      return true;
    }
    return false;
  }

  static bool is_ascii_word(char c) { return class_of(c) == kLetter || class_of(c) == kDigit; }
  static bool ends_address(char c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '"' || c == '\'' || c == '<' || c == '>' ||
           c == ')' || c == ']' || c == '`' || class_of(c) == kWide;
  }

  std::string_view text_;
  const WordClasses& classes_;
  std::vector<Token>& tokens_;
  size_t at_ = 0;
  uint32_t markup_ = 0;
  bool begins_ = true;
};

}  // namespace

Result<WordClasses> WordClasses::parse(std::string_view text, const Folder& folder) {
  std::vector<std::pair<uint32_t, uint32_t>> found;
  size_t number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (line.empty() || line[0] == '#') continue;
    const size_t colon = line.find(": ");
    if (colon == std::string_view::npos || colon == 0)
      return fail(ErrorKind::invalid_input, "word classes, line {}: not of the form \"name: words\"", number);
    const uint32_t meaning = class_named(line.substr(0, colon));
    const std::string words = folder.fold(line.substr(colon + 2)).text;
    for (size_t at = 0; at < words.size();) {
      const size_t stop = std::min(words.find(' ', at), words.size());
      if (stop > at) found.emplace_back(hash_of(std::string_view(words).substr(at, stop - at)), meaning);
      at = stop + 1;
    }
  }
  WordClasses out;
  size_t size = 64;
  while (size < found.size() * 2) size *= 2;
  out.slots_.resize(size);
  for (const auto& [word, meaning] : found) {
    size_t at = word & (size - 1);
    while (out.slots_[at].meaning != 0 && out.slots_[at].word != word) at = (at + 1) & (size - 1);
    if (out.slots_[at].meaning == 0) out.slots_[at] = {word, meaning};  // the first class that names a word has it
  }
  return out;
}

uint32_t WordClasses::of(uint32_t word) const {
  const size_t mask = slots_.size() - 1;
  for (size_t at = word & mask; slots_[at].meaning != 0; at = (at + 1) & mask)
    if (slots_[at].word == word) return slots_[at].meaning;
  return 0;
}

void tokenize(std::string_view text, const WordClasses& classes, std::vector<Token>& tokens) {
  tokens.clear();
  Tokenizer(text, classes, tokens).run();
}

}  // namespace stockade::inspect
