# The libraries, each with its reason in docs/dependencies.md. All but libc are linked from archives: loading them as
# shared objects costs 5 to 7 ms at every start.
find_package(Threads REQUIRED)
find_package(GTest REQUIRED)

function(stockade_archive target file)
  find_library(${target}_archive NAMES ${file} REQUIRED)
  add_library(${target} STATIC IMPORTED GLOBAL)
  set_target_properties(${target} PROPERTIES IMPORTED_LOCATION ${${target}_archive})
endfunction()

stockade_archive(archive_yaml libyaml-cpp.a)
stockade_archive(archive_crypto libcrypto.a)
target_link_libraries(archive_crypto INTERFACE ${CMAKE_DL_LIBS} Threads::Threads)

# Debian ships fmt's headers and shared object only: compile its one source file ourselves.
add_library(archive_fmt STATIC ${CMAKE_CURRENT_LIST_DIR}/fmt.cc)

# llhttp comes as C sources in node-llhttp; its generated state machine is not ours to warn about.
find_path(LLHTTP_SOURCES llhttp/llhttp.c PATHS /usr/share REQUIRED)
find_path(LLHTTP_INCLUDE llhttp.h PATHS /usr/share/include/llhttp REQUIRED)
add_library(llhttp STATIC ${LLHTTP_SOURCES}/llhttp/api.c ${LLHTTP_SOURCES}/llhttp/http.c
                          ${LLHTTP_SOURCES}/llhttp/llhttp.c)
target_include_directories(llhttp SYSTEM PUBLIC ${LLHTTP_INCLUDE})
target_compile_definitions(llhttp PUBLIC LLHTTP_STRICT_MODE=1)  # or it skips the CRLF after a chunk unseen
target_compile_options(llhttp PRIVATE -w)
