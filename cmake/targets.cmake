# How targets of ours are made, so that each one gets the same flags.

# Flags that every target links; a library passes the instrumenting ones on to who links it.
set(PTTH_INSTRUMENTATION ptth_sanitizers ptth_hardening)

# ptth_library(NAME SOURCES...): a static library. The headers of its folder are compiled alone, one
# by one, by the target all_verify_interface_header_sets; they are found, not listed, because a
# header that someone forgot to list would be exactly the one that nobody checks.
function(ptth_library name)
  add_library(${name} STATIC ${ARGN})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_compile_features(${name} PUBLIC cxx_std_20)
  target_link_libraries(${name} PRIVATE ptth_warnings PUBLIC ${PTTH_INSTRUMENTATION})
  ptth_precompile(${name})
  file(GLOB headers CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.h")
  if(headers)
    target_sources(${name} PUBLIC
      FILE_SET headers TYPE HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${headers})
  endif()
endfunction()

# ptth_executable(NAME SOURCES...): programs for people (ptth-*) end up in the build folder's root,
# test programs beside their objects.
function(ptth_executable name)
  add_executable(${name} ${ARGN})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_features(${name} PRIVATE cxx_std_20)
  target_link_libraries(${name} PRIVATE ptth_warnings ${PTTH_INSTRUMENTATION})
  ptth_precompile(${name})
  if(name MATCHES "^ptth-")
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
  endif()
endfunction()
