# SPDX-License-Identifier: Apache-2.0
# nightjar_warnings(<target>): the project's warnings, errors where NIGHTJAR_WERROR is on, and its hardening flags.
include_guard(GLOBAL)

function(nightjar_warnings target)
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wpedantic -Wconversion -Wshadow
    $<$<COMPILE_LANGUAGE:CXX>:-Wold-style-cast -Wnon-virtual-dtor -Woverloaded-virtual>
    $<$<BOOL:${NIGHTJAR_WERROR}>:-Werror>
    -fstack-protector-strong)
  target_compile_definitions(${target} PRIVATE _GLIBCXX_ASSERTIONS
    $<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=2>)
  target_link_options(${target} PRIVATE -Wl,-z,relro,-z,now)
endfunction()
