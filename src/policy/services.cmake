# rules/services.yaml → a sorted constant inside the program, so that no run depends on a file of ours.
set(services_source ${CMAKE_CURRENT_BINARY_DIR}/service_data.cc)
add_custom_command(
  OUTPUT ${services_source}
  COMMAND ${CMAKE_COMMAND} -D OUT=${services_source} -D FILE=${PROJECT_SOURCE_DIR}/rules/services.yaml
          -P ${CMAKE_CURRENT_LIST_DIR}/embed_services.cmake
  DEPENDS ${PROJECT_SOURCE_DIR}/rules/services.yaml ${CMAKE_CURRENT_LIST_DIR}/embed_services.cmake
  VERBATIM)
target_sources(stockade_policy PRIVATE ${services_source})
