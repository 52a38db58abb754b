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
if(TARGET inspect_test)
  target_compile_definitions(inspect_test PRIVATE STOCKADE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  # Prints the features and scores of texts, for tests/corpora/injection/fit.py.
  add_executable(injection_features EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/tests/corpora/injection/features.cc)
  target_link_libraries(injection_features PRIVATE stockade_inspect)
endif()
