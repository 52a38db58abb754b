# Compiler flags and build modes. Every mode treats warnings as errors.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

set(STOCKADE_SANITIZE "" CACHE STRING "Sanitizers to build with, for example address,undefined")
option(STOCKADE_FUZZ "Build the libFuzzer targets (needs clang)" OFF)
option(STOCKADE_PLANTED_BUG "Break each parser on purpose, to see that its fuzzer notices (fuzz/planted.sh)" OFF)
option(STOCKADE_COVERAGE "Build with coverage counters" OFF)
option(STOCKADE_TESTS "Build the unit tests" ON)

find_program(STOCKADE_CCACHE ccache)
if(STOCKADE_CCACHE)
  # Without these two a build in another folder misses the cache.
  set(launcher ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${STOCKADE_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
endif()

add_compile_options(-Wall -Wextra -Werror -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # False alarms of g++ 12 at -O2: about std::expected, and about assigning a literal to a std::string (PR 105651).
  add_compile_options(-Wno-maybe-uninitialized -Wno-restrict)
endif()

add_link_options(-Wl,-z,relro,-z,now)
if(NOT STOCKADE_SANITIZE AND NOT STOCKADE_FUZZ)
  add_compile_options(-fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE)
  add_compile_definitions($<$<CONFIG:Release>:_FORTIFY_SOURCE=3> _GLIBCXX_ASSERTIONS)
  add_link_options(-pie)
endif()
set(CMAKE_C_FLAGS_RELEASE "-O2 -g1")
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1")

if(STOCKADE_SANITIZE)
  # Compiled in half the time of -O2 -g; frames and lines are all that a report needs.
  add_compile_options(-O1 -g1)
  add_compile_options(-fsanitize=${STOCKADE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  # The check of virtual tables probes memory with pipe(2), which a confined worker may not call.
  add_compile_options(-fno-sanitize=vptr)
  add_link_options(-fsanitize=${STOCKADE_SANITIZE})
endif()
if(STOCKADE_FUZZ)
  # Every folder is instrumented; only the targets in fuzz/ link libFuzzer itself.
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
endif()
if(STOCKADE_PLANTED_BUG)
  if(NOT STOCKADE_FUZZ)
    message(FATAL_ERROR "STOCKADE_PLANTED_BUG is for fuzz builds only")
  endif()
  add_compile_definitions(STOCKADE_PLANTED_BUG)
endif()
if(STOCKADE_COVERAGE)
  add_compile_options(--coverage)
  add_link_options(--coverage)
endif()

find_program(STOCKADE_MOLD mold)
if(STOCKADE_MOLD AND NOT STOCKADE_FUZZ)
  add_link_options(-fuse-ld=mold)
endif()
