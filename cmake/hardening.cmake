# ptth_hardening: what makes a bug in a released binary harder to exploit, as an INTERFACE target
# that every target of ours links. Off under sanitizers, which look for the same bugs.
include(CheckPIESupported)
check_pie_supported(LANGUAGES CXX)

add_library(ptth_hardening INTERFACE)
if(PTTH_HARDENING)
  set(CMAKE_POSITION_INDEPENDENT_CODE ON)
  target_compile_options(ptth_hardening INTERFACE
    -fstack-protector-strong -fstack-clash-protection
    $<$<STREQUAL:${CMAKE_SYSTEM_PROCESSOR},x86_64>:-fcf-protection>
    -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
  target_link_options(ptth_hardening INTERFACE
    LINKER:-z,relro LINKER:-z,now LINKER:-z,noexecstack LINKER:--as-needed)
endif()
if(PTTH_STDLIB_ASSERTIONS)
  target_compile_definitions(ptth_hardening INTERFACE _GLIBCXX_ASSERTIONS)
endif()
