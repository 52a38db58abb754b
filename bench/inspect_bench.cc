// Speed of the inspection: the prefilter alone over text that holds no secret, and a clean response of 10 kB with all
// that there is (decoders, known values, every rule). Prints one line each. Not part of `make bench`: build target
// inspect_bench.
#include <chrono>
#include <cstdio>
#include <string>

#include "inspect/engine.h"

namespace {

using namespace stockade::inspect;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// JSON as a model API answers: prose, code, numbers, a few ids; nothing encoded.
std::string clean_response(size_t size) {
  std::string text =
      "{\"id\": \"msg_01XFDUDYJgAACzvnptvVoYEL\", \"type\": \"message\", \"content\": [{\"type\": \"text\", \"text\": "
      "\"";
  const char* const pieces[] = {
      "The function reads the file in blocks and returns the number of lines that it found.\\n",
      "You can call it with a path: `count_lines(\\\"/var/log/syslog\\\")`, and it closes the descriptor again.\\n",
      "    for (size_t i = 0; i < lines.size(); ++i) {\\n      total += lines[i].length();\\n    }\\n",
      "A token of the stream is a word or a part of one; the key idea is that each is counted once.\\n",
      "See https://docs.example.org/guide/reading-files.html#blocks for more, and version 2.41.3 for the fix.\\n",
      "In 2024 there were 1,204 of them, 17.5 % more than in the year before (1,025).\\n"};
  for (size_t i = 0; text.size() < size; ++i) text += pieces[i * 7 % 6];
  return text + "\"}], \"usage\": {\"input_tokens\": 2095, \"output_tokens\": 503}}";
}

}  // namespace

int main() {
  const auto start = Clock::now();
  auto rules = CompiledRules::builtin();
  if (!rules) return std::fprintf(stderr, "%s\n", rules.error().render().c_str()), 1;
  const size_t count = (*rules)->rules().size();
  std::string values[20];
  EngineOptions options{.rules = std::move(*rules), .known = {}, .key = {1}};
  for (size_t i = 0; i < 20; ++i) {
    for (size_t k = 0; k < 40; ++k)
      values[i] += "abcdefghijklmnopqrstuvwxyz0123456789"[(i * 131 + k * k * 29 + k * 7) % 36];
    options.known.push_back({"VALUE_" + std::to_string(i), values[i], false});
  }
  auto engine = Engine::create(std::move(options));
  if (!engine) return std::fprintf(stderr, "%s\n", engine.error().render().c_str()), 1;
  std::printf("engine: %zu rules, 20 known values, made in %.0f ms\n", count, seconds_since(start) * 1e3);
  auto scanner = Scanner::create(*engine);
  if (!scanner) return 1;

  const std::string large = clean_response(4 << 20);
  size_t hits = 0;
  auto begin = Clock::now();
  int rounds = 0;
  for (; seconds_since(begin) < 2; ++rounds) hits += scanner->prefilter_only(large);
  std::printf("prefilter: %.2f GB/s, %zu hits a MB\n",
              static_cast<double>(large.size()) * rounds / seconds_since(begin) / 1e9,
              hits / static_cast<size_t>(rounds) / (large.size() >> 20));
  for (const size_t size : {size_t{1000}, size_t{10'000}, size_t{100'000}}) {
    const std::string text = clean_response(size);
    size_t findings = 0;
    rounds = 0;
    begin = Clock::now();
    for (; seconds_since(begin) < 2; ++rounds) findings += scanner->scan(Direction::out, text).size();
    std::printf("clean %zu bytes: %.1f us, %.0f MB/s, %zu findings\n", text.size(), seconds_since(begin) * 1e6 / rounds,
                static_cast<double>(text.size()) * rounds / seconds_since(begin) / 1e6, findings);
  }
  return 0;
}
