# The seccomp filters as constants: src/sandbox/filters/*.syscalls → generated/filters/NAME.h. libseccomp is needed at
# build time only (its table of names); building a filter with it at every start would cost 4 to 21 ms.
find_library(seccomp_archive NAMES libseccomp.a seccomp REQUIRED)
set(filters_dir ${PROJECT_SOURCE_DIR}/src/sandbox/filters)
set(filters_out ${PROJECT_BINARY_DIR}/generated/filters)

add_executable(seccomp_generate ${filters_dir}/generate_main.cc ${PROJECT_SOURCE_DIR}/src/sandbox/seccomp_generate.cc
                                ${PROJECT_SOURCE_DIR}/src/sandbox/bpf_evaluator.cc)
target_include_directories(seccomp_generate PRIVATE ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(seccomp_generate PRIVATE ${seccomp_archive})
file(MAKE_DIRECTORY ${filters_out})

# stockade_filter(FILE ArrayName list…): earlier lists win.
function(stockade_filter file array)
  list(TRANSFORM ARGN PREPEND ${filters_dir}/)
  list(TRANSFORM ARGN APPEND .syscalls)
  add_custom_command(OUTPUT ${filters_out}/${file}.h
                     COMMAND seccomp_generate ${array} ${filters_out}/${file}.h ${ARGN}
                     DEPENDS seccomp_generate ${ARGN} VERBATIM)
  set_property(GLOBAL APPEND PROPERTY stockade_filter_headers ${filters_out}/${file}.h)
endfunction()

stockade_filter(agent AgentFilter agent)
stockade_filter(agent_notify AgentNotifyFilter agent_notify agent)
stockade_filter(agent_programs AgentProgramsFilter agent_programs agent)
stockade_filter(agent_notify_programs AgentNotifyProgramsFilter agent_notify agent_programs agent)
stockade_filter(init InitFilter init)
stockade_filter(supervisor SupervisorFilter supervisor)
foreach(worker Inspector Dialer Sealer Observer Relay)
  string(TOLOWER ${worker} list)
  stockade_filter(${list} ${worker}Filter ${list} worker)
endforeach()

stockade_filter(mask_keeper MaskKeeperFilter mask_keeper worker)

get_property(filter_headers GLOBAL PROPERTY stockade_filter_headers)
add_custom_target(stockade_filters DEPENDS ${filter_headers})
