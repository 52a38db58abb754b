# The libraries, each with its reason in docs/dependencies.md, linked from archives: loading them as shared objects costs
# 5 to 7 ms at every start.
find_package(Threads REQUIRED)
find_package(GTest REQUIRED)

# Where a distribution ships no archive (Fedora: most), the shared object serves; each start then takes longer.
function(stockade_archive target file)
  string(REGEX REPLACE "^lib(.*)\\.a$" "\\1" name ${file})
  find_library(${target}_archive NAMES ${file} ${name} REQUIRED)
  add_library(${target} UNKNOWN IMPORTED GLOBAL)
  set_target_properties(${target} PROPERTIES IMPORTED_LOCATION ${${target}_archive})
endfunction()

stockade_archive(archive_sodium libsodium.a)
# The firewall's.
stockade_archive(archive_crypto libcrypto.a)
stockade_archive(archive_ssl libssl.a)
target_link_libraries(archive_ssl INTERFACE archive_crypto)
stockade_archive(archive_nghttp2 libnghttp2.a)
stockade_archive(archive_vectorscan libhs.a)
stockade_archive(archive_re2 libre2.a)
target_link_libraries(archive_re2 INTERFACE Threads::Threads)
stockade_archive(archive_zlib libz.a)
stockade_archive(archive_brotli_common libbrotlicommon.a)
stockade_archive(archive_brotli libbrotlidec.a)
target_link_libraries(archive_brotli INTERFACE archive_brotli_common)
stockade_archive(archive_zstd libzstd.a)
stockade_archive(archive_utf8proc libutf8proc.a)

# Debian ships fmt's headers and shared object only: compile its one source file ourselves.
add_library(archive_fmt STATIC ${CMAKE_CURRENT_LIST_DIR}/fmt.cc)

# llhttp comes as C sources in Debian's node-llhttp; its generated state machine is not ours to warn about. Elsewhere it
# is a library.
find_path(LLHTTP_SOURCES llhttp/llhttp.c PATHS /usr/share)
find_path(LLHTTP_INCLUDE llhttp.h PATHS /usr/share/include/llhttp REQUIRED)
if(LLHTTP_SOURCES)
  add_library(llhttp STATIC ${LLHTTP_SOURCES}/llhttp/api.c ${LLHTTP_SOURCES}/llhttp/http.c
                            ${LLHTTP_SOURCES}/llhttp/llhttp.c)
  target_include_directories(llhttp SYSTEM PUBLIC ${LLHTTP_INCLUDE})
  target_compile_definitions(llhttp PUBLIC LLHTTP_STRICT_MODE=1)  # or it skips the CRLF after a chunk unseen
  target_compile_options(llhttp PRIVATE -w)
else()
  stockade_archive(llhttp libllhttp.a)
  target_include_directories(llhttp SYSTEM INTERFACE ${LLHTTP_INCLUDE})
endif()
