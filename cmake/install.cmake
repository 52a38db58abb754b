# What `make install` writes below its prefix besides the program (src/cli): documentation, schema, examples, and the one
# file that Ubuntu 24.04 needs. The last step leaves a list for scripts/uninstall.sh, relative, so that a staged tree
# may be moved.
install(FILES README.md LICENSE DESTINATION share/doc/stockade)
install(DIRECTORY docs/ DESTINATION share/doc/stockade FILES_MATCHING PATTERN "*.md")
install(DIRECTORY examples DESTINATION share/doc/stockade FILES_MATCHING PATTERN "*.yaml")
install(FILES schema/policy.schema.json DESTINATION share/stockade)
# Where unprivileged user namespaces are restricted by AppArmor, a program needs a profile that grants them.
install(CODE [[
  set(program "${CMAKE_INSTALL_PREFIX}/bin/stockade")
  if(DEFINED ENV{STOCKADE_FINAL_PREFIX})
    set(program "$ENV{STOCKADE_FINAL_PREFIX}/bin/stockade")
  endif()
  set(profile "${CMAKE_INSTALL_PREFIX}/share/stockade/apparmor/stockade")
  file(WRITE "${profile}"
    "# Ubuntu 23.10 and later: cp this file to /etc/apparmor.d/ and run apparmor_parser -r /etc/apparmor.d/stockade\n"
    "abi <abi/4.0>,\ninclude <tunables/global>\n\n"
    "profile stockade ${program} flags=(unconfined) {\n  userns,\n  include if exists <local/stockade>\n}\n")
  list(APPEND CMAKE_INSTALL_MANIFEST_FILES "${profile}")
]])
install(CODE [[
  set(installed "")
  foreach(file IN LISTS CMAKE_INSTALL_MANIFEST_FILES)
    file(RELATIVE_PATH relative "${CMAKE_INSTALL_PREFIX}" "${file}")
    string(APPEND installed "${relative}\n")
  endforeach()
  file(WRITE "${CMAKE_INSTALL_PREFIX}/share/stockade/installed" "${installed}")
]])
