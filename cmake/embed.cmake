# Run by cmake -P: writes OUTPUT, a source file that defines ptth::NAME as the text of INPUT.
cmake_minimum_required(VERSION 3.25)

file(READ ${INPUT} text)
# A string literal of the standard may not be longer than 64 KiB; compilers take more, and this is one.
if(text MATCHES "\\)ptth\"")
  message(FATAL_ERROR "${INPUT}: contains the end of a raw string")
endif()
get_filename_component(header ${OUTPUT} NAME_WE)
file(WRITE ${OUTPUT} "#include \"agent/${header}.h\"

namespace ptth {

const std::string_view ${NAME} = R\"ptth(${text})ptth\";

}  // namespace ptth
")
