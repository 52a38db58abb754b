// Reads records "SIZE\n" + SIZE bytes from standard input; prints for each one line: its score, and with --why what
// the score stands on.
#include <cstdio>
#include <cstring>
#include <iostream>
#include <string>

#include "inspect/injection.h"

int main(int argc, char** argv) {
  using namespace stockade::inspect;
  const bool why = argc > 1 && std::strcmp(argv[1], "--why") == 0;
  const auto detector = InjectionDetector::create();
  if (!detector) {
    std::fprintf(stderr, "%s\n", detector.error().render().c_str());
    return 1;
  }
  std::string line;
  while (std::getline(std::cin, line)) {
    std::string text(std::stoul(line), '\0');
    std::cin.read(text.data(), static_cast<std::streamsize>(text.size()));
    const InjectionScore score = detector->score(text);
    std::printf("%.4f", score.score);
    if (why && !score.reasons.empty()) {
      std::string joined;
      for (const std::string& word : score.reasons[0].words) joined += "\t" + word;
      for (char& c : joined)
        if (c == '\n') c = ' ';
      std::printf("\t%s%s", score.reasons[0].rule.c_str(), joined.c_str());
    }
    std::printf("\n");
  }
  return 0;
}
