// Reads records "SIZE\n" + SIZE bytes from standard input; prints for each one line "SCORE<TAB>name=value
// name=value|…": the features of every stretch that met a rule, as the model sees them. With --scores, the score alone.
#include <cstdio>
#include <cstring>
#include <iostream>
#include <string>

#include "inspect/injection.h"

int main(int argc, char** argv) {
  using namespace stockade::inspect;
  const bool scores_only = argc > 1 && std::strcmp(argv[1], "--scores") == 0;
  const auto detector = InjectionDetector::create();
  if (!detector) {
    std::fprintf(stderr, "%s\n", detector.error().render().c_str());
    return 1;
  }
  std::string line;
  while (std::getline(std::cin, line)) {
    std::string text(std::stoul(line), '\0');
    std::cin.read(text.data(), static_cast<std::streamsize>(text.size()));
    std::vector<InjectionFeatures> features;
    const std::string_view window = std::string_view(text).substr(0, kInjectionWindow);
    const auto score =
        scores_only ? detector->score(text) : detector->score_window(window, guess_format(window), 0, &features);
    std::printf("%.4f\t", score.score);
    for (size_t i = 0; i < features.size(); ++i) {
      if (i > 0) std::printf("|");
      for (const auto& [name, value] : features[i]) std::printf("%s=%g ", name.c_str(), value);
    }
    std::printf("\n");
  }
  return 0;
}
