# ptth_pytest(NAME FILE): a pytest file as a ctest entry. The tests find the programs under test in
# $PTTH_BUILD_DIR, and the tools that `scripts/dev setup` unpacked (HAProxy, nginx) in $PATH.
find_program(PTTH_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH REQUIRED)
mark_as_advanced(PTTH_PYTHON)

function(ptth_pytest name file)
  add_test(NAME ${name}
    COMMAND ${PTTH_PYTHON} -m pytest -q -p no:cacheprovider ${file}
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES
    ENVIRONMENT "PTTH_BUILD_DIR=${PROJECT_BINARY_DIR};PYTHONDONTWRITEBYTECODE=1"
    ENVIRONMENT_MODIFICATION "PATH=path_list_prepend:${PROJECT_SOURCE_DIR}/build/tools/bin")
endfunction()
