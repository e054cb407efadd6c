# ptth_warnings: an INTERFACE target that every target of ours links.
add_library(ptth_warnings INTERFACE)
target_compile_options(ptth_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Wold-style-cast -Wimplicit-fallthrough)
if(PTTH_WARNINGS_AS_ERRORS)
  target_compile_options(ptth_warnings INTERFACE -Werror)
endif()
