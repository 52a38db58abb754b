# What the program holds as constants: rules/secrets.yaml, and what inspect_generate compiles of rules/ at build time. A
# process that compiled 360 rules itself would wait for a second.
set(STOCKADE_SECRET_RULES ${PROJECT_SOURCE_DIR}/rules/secrets.yaml)
set(injection_rules ${PROJECT_SOURCE_DIR}/rules/injection.yaml)
set(STOCKADE_RULE_IMAGE ${CMAKE_CURRENT_BINARY_DIR}/rules.image)
set(STOCKADE_TERM_IMAGE ${CMAKE_CURRENT_BINARY_DIR}/terms.image)
set(rule_files ${STOCKADE_SECRET_RULES} ${injection_rules})
set(images ${STOCKADE_RULE_IMAGE} ${STOCKADE_TERM_IMAGE})

# What the generator needs, which is therefore without the images.
set(compiler_sources finding rules compiled_rules pattern_database injection_rules injection_terms injection_fold
    injection_confusables)
list(JOIN compiler_sources "|" compiler_pattern)
list(TRANSFORM compiler_sources APPEND .cc)
stockade_part(rule_compiler stockade_base stockade_policy archive_sodium archive_vectorscan archive_re2 archive_utf8proc
              SOURCES ${compiler_sources})

add_executable(inspect_generate builtin/generate_main.cc)
target_link_libraries(inspect_generate PRIVATE stockade_rule_compiler)
add_custom_command(OUTPUT ${images} COMMAND inspect_generate ${rule_files} ${images}
                   DEPENDS inspect_generate ${rule_files} VERBATIM)
configure_file(builtin/embedded.cc.in embedded.cc @ONLY)
set_source_files_properties(${CMAKE_CURRENT_BINARY_DIR}/embedded.cc PROPERTIES
                            OBJECT_DEPENDS "${STOCKADE_SECRET_RULES};${images}")

set(word_file ${PROJECT_SOURCE_DIR}/rules/bip39_english.txt)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${word_file})
file(READ ${word_file} STOCKADE_BIP39_WORDS)
configure_file(builtin/bip39_words.h.in ${PROJECT_BINARY_DIR}/generated/rules/bip39_words.h @ONLY)
