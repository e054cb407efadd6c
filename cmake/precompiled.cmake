# What nearly every file includes, compiled once for all targets: parsing the standard library is half
# of the work of a translation unit here. It pays where everything is compiled once, as in CI; the
# compiler cache pays where much is compiled again, and the two do not go together (the cache would
# read 80 MB of precompiled header for each file). A release builds without, so that a file which
# leans on an include that it does not have is found. The headers' own check
# (all_verify_interface_header_sets) never sees it either.
if(PTTH_PRECOMPILE)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Out of a precompiled header, GCC 12 no longer knows the standard library as a system header, and
    # tells of its own mistake there.
    add_compile_options(-Wno-array-bounds -Wno-stringop-overflow)
  endif()
endif()

# ptth_precompiled_headers(NAME HEADERS...): a set that targets with the same flags reuse.
function(ptth_precompiled_headers name)
  set(source ${PROJECT_BINARY_DIR}/${name}.cpp)
  file(CONFIGURE OUTPUT ${source} CONTENT "")
  add_library(${name} OBJECT ${source})
  target_compile_features(${name} PRIVATE cxx_std_20)
  target_link_libraries(${name} PRIVATE ptth_warnings ${PTTH_INSTRUMENTATION})
  target_precompile_headers(${name} PRIVATE ${ARGN})
endfunction()

if(PTTH_PRECOMPILE)
  set(PTTH_COMMON_HEADERS
    <algorithm> <array> <charconv> <chrono> <cstdint> <cstdio> <cstring> <deque> <functional> <map>
    <memory> <optional> <random> <set> <span> <string> <string_view> <utility> <variant> <vector>
    <sys/socket.h>)
  ptth_precompiled_headers(ptth_precompiled ${PTTH_COMMON_HEADERS})
  if(BUILD_TESTING OR NOT DEFINED BUILD_TESTING)
    find_package(doctest REQUIRED)
    ptth_precompiled_headers(ptth_precompiled_support ${PTTH_COMMON_HEADERS})
    ptth_precompiled_headers(ptth_precompiled_tests ${PTTH_COMMON_HEADERS} <doctest/doctest.h>)
    target_link_libraries(ptth_precompiled_tests PRIVATE doctest::doctest)
    foreach(set ptth_precompiled_support ptth_precompiled_tests)
      target_compile_options(${set} PRIVATE ${PTTH_TEST_OPTIONS})
    endforeach()
  endif()
endif()

# ptth_precompile(TARGET): as each target of ours is made. A test program is named *_tests.
function(ptth_precompile target)
  if(NOT PTTH_PRECOMPILE)
    return()
  endif()
  if(target MATCHES "_tests$")
    target_precompile_headers(${target} REUSE_FROM ptth_precompiled_tests)
    # It asks doctest's header for the other half.
    set_source_files_properties(main.cpp PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
  elseif(CMAKE_CURRENT_SOURCE_DIR MATCHES "^${PROJECT_SOURCE_DIR}/tests/")
    target_precompile_headers(${target} REUSE_FROM ptth_precompiled_support)
  else()
    target_precompile_headers(${target} REUSE_FROM ptth_precompiled)
  endif()
endfunction()
