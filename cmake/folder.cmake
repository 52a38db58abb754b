# stockade_folder(NAME [DEPS target…]): one folder of src/ becomes one static library `stockade_NAME` and, from its
# *_test.cc files, one gtest program `NAME_test`. DEPS are libraries; folders are named as stockade_x.
function(stockade_folder name)
  cmake_parse_arguments(arg "" "" "DEPS;TEST_DEPS;EXCLUDE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  foreach(pattern ${arg_EXCLUDE})
    list(FILTER sources EXCLUDE REGEX ${pattern})
  endforeach()
  add_library(stockade_${name} STATIC ${sources})
  target_include_directories(stockade_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src ${PROJECT_BINARY_DIR}/generated)
  target_link_libraries(stockade_${name} PUBLIC ${arg_DEPS})
  if(STOCKADE_TESTS AND tests)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE stockade_${name} ${arg_TEST_DEPS} gtest gmock gtest_main)
    add_test(NAME ${name} COMMAND ${name}_test)
    set_tests_properties(${name} PROPERTIES TIMEOUT 120)
  endif()
endfunction()

# stockade_part(NAME dependency… SOURCES file…): some files of a folder as a library of their own.
function(stockade_part name)
  cmake_parse_arguments(arg "" "" "SOURCES" ${ARGN})
  add_library(stockade_${name} STATIC ${arg_SOURCES})
  target_link_libraries(stockade_${name} PUBLIC ${arg_UNPARSED_ARGUMENTS})
endfunction()

# A program of the product. Wholly static where the distribution has the archives: a third of the dynamic program's start.
# Position-independent all the same, with the short form of relocations (glibc 2.36). The sanitizers bring shared objects of
# their own. It lies at the top of the build folder, where programs find each other.
include(CheckLinkerFlag)
check_linker_flag(CXX "-static-pie;-Wl,-z,pack-relative-relocs" STOCKADE_LINKS_STATIC_PIE)
function(stockade_program name)
  if(STOCKADE_LINKS_STATIC_PIE AND NOT STOCKADE_SANITIZE)
    target_link_options(${name} PRIVATE -static-pie -Wl,-z,pack-relative-relocs)
  else()
    target_link_options(${name} PRIVATE -static-libstdc++ -static-libgcc)
  endif()
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
endfunction()
