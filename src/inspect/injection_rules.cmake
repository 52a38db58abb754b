# rules/injection.yaml as a constant of the program: no run depends on (and no agent can write) a file of ours.
set(injection_source ${CMAKE_CURRENT_BINARY_DIR}/injection_rules_data.cc)
set(injection_rules ${PROJECT_SOURCE_DIR}/rules/injection.yaml)
add_custom_command(
  OUTPUT ${injection_source}
  COMMAND ${CMAKE_COMMAND} -D OUT=${injection_source} -D IN=${injection_rules}
          -P ${CMAKE_CURRENT_LIST_DIR}/injection_embed.cmake
  DEPENDS ${injection_rules} ${CMAKE_CURRENT_LIST_DIR}/injection_embed.cmake
  VERBATIM)
target_sources(stockade_inspect PRIVATE ${injection_source})
set(injection_words ${PROJECT_SOURCE_DIR}/rules/injection_words.bin)
set(injection_classes ${PROJECT_SOURCE_DIR}/rules/injection_classes.txt)
set_source_files_properties(injection_weights.cc PROPERTIES
  COMPILE_DEFINITIONS "STOCKADE_WORD_WEIGHTS=\"${injection_words}\";STOCKADE_WORD_CLASSES=\"${injection_classes}\""
  OBJECT_DEPENDS "${injection_words};${injection_classes}")
if(TARGET inspect_test)
  target_compile_definitions(inspect_test PRIVATE STOCKADE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  # Learns the weights of words, and prints the scores of texts: tests/corpora/injection/README.md.
  foreach(tool train score)
    add_executable(injection_${tool} EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/tests/corpora/injection/${tool}.cc)
    target_link_libraries(injection_${tool} PRIVATE stockade_inspect)
  endforeach()
endif()
