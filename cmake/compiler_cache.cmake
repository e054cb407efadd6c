# ccache when it is there; a launcher given by the caller stays. Not beside cmake/precompiled.cmake.
find_program(PTTH_CCACHE ccache)
mark_as_advanced(PTTH_CCACHE)
if(PTTH_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER AND NOT PTTH_PRECOMPILE)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${PTTH_CCACHE}")
endif()
