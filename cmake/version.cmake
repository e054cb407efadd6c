# Run by cmake -P in every build: writes OUTPUT only when the version or the commit has changed.
# PTTH_COMMIT names the commit where there is no repository (a source archive, a container build).
cmake_minimum_required(VERSION 3.25)

if(NOT PTTH_COMMIT)
  find_package(Git QUIET)
  if(GIT_FOUND)
    execute_process(
      COMMAND ${GIT_EXECUTABLE} -C ${SOURCE_DIR} describe --always --dirty --abbrev=12
      OUTPUT_VARIABLE PTTH_COMMIT
      OUTPUT_STRIP_TRAILING_WHITESPACE
      ERROR_QUIET)
  endif()
endif()
if(NOT PTTH_COMMIT)
  set(PTTH_COMMIT unknown)
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT
"#include \"agent/version.h\"

namespace ptth {

const char* const kVersion = \"@VERSION@\";
const char* const kCommit = \"@PTTH_COMMIT@\";

}  // namespace ptth
" @ONLY)
