# SPDX-License-Identifier: Apache-2.0
# nightjar_precompile(<target> [header...]): what almost every source of the target includes, parsed once.
#
# Headers were half of the time of a build. A source still includes what it uses; with
# -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON it has to.
include_guard(GLOBAL)

set(NIGHTJAR_STANDARD_HEADERS algorithm array charconv filesystem fstream functional map memory optional set span sstream
  string string_view tl/expected.hpp vector)

function(nightjar_precompile target)
  set(headers "")
  foreach(header IN LISTS NIGHTJAR_STANDARD_HEADERS ARGN)
    list(APPEND headers "$<$<COMPILE_LANGUAGE:CXX>:<${header}$<ANGLE-R>>")
  endforeach()
  target_precompile_headers(${target} PRIVATE ${headers})
  # GCC bugs 105329 and 105651: g++ 12 warns falsely of std::string's operator+, and in a precompiled header no longer
  # knows that the operator is the library's.
  target_compile_options(${target} PRIVATE
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-Wno-array-bounds -Wno-restrict -Wno-stringop-overflow>)
endfunction()
