# Writes OUT: C++ constants of rules/secrets.yaml and rules/bip39_english.txt. Literals are cut where a compiler's limit is.
set(text "// Generated from rules/ by embed_rules.cmake.\n#include \"inspect/rules.h\"\n\nnamespace stockade::inspect {\n")
foreach(pair builtin_rules_yaml=secrets.yaml bip39_words_text=bip39_english.txt)
  string(REGEX MATCH "^([^=]+)=(.+)$" ignored ${pair})
  file(READ ${DIR}/${CMAKE_MATCH_2} bytes)
  string(APPEND text "std::string_view ${CMAKE_MATCH_1}() { return R\"=====(${bytes})=====\"; }\n")
endforeach()
file(WRITE ${OUT} "${text}}  // namespace stockade::inspect\n")
