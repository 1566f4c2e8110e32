# SPDX-License-Identifier: Apache-2.0
# add_bpf_object(<target> OUTPUT <file.bpf.o> SOURCES <a.bpf.c>... [LEGACY <b.bpf.c>...])
#
# Compiles each source for BPF with CO-RE relocations, links them into one object (bpftool gen object), and strips DWARF but
# keeps BTF. The object's path is the target's property BPF_OBJECT. Headers are tracked through -MD.
include_guard(GLOBAL)
find_program(BPF_CLANG NAMES clang-19 clang-18 clang-17 clang-16 clang-15 clang-14 clang REQUIRED)
find_program(BPFTOOL NAMES bpftool PATHS /usr/sbin /sbin REQUIRED)

if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|amd64|AMD64")
  set(NIGHTJAR_BPF_ARCH x86)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  set(NIGHTJAR_BPF_ARCH arm64)
else()
  message(FATAL_ERROR "no BPF tracing definitions for ${CMAKE_SYSTEM_PROCESSOR}: x86_64 and aarch64 are supported")
endif()

function(add_bpf_object target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "OUTPUT" "SOURCES;LEGACY;INCLUDES")
  set(parts "")
  foreach(source IN LISTS arg_SOURCES arg_LEGACY)
    get_filename_component(stem "${source}" NAME)
    string(REGEX REPLACE "\\.c$" ".part.o" part "${stem}")
    set(part "${CMAKE_CURRENT_BINARY_DIR}/${target}.${part}")
    set(includes "")
    foreach(dir IN LISTS arg_INCLUDES)
      list(APPEND includes -I "${dir}")
    endforeach()
    # LEGACY: for kernels before 5.1, which lack the 32-bit jumps of v3. Blocks stay in the order of the source, or the
    # compiler lays out jumps backwards, which a verifier without loops may take for one.
    set(machine -mcpu=v3)
    if(source IN_LIST arg_LEGACY)
      set(machine -mcpu=v2 -mllvm -disable-block-placement)
    endif()
    add_custom_command(
      OUTPUT "${part}"
      COMMAND "${BPF_CLANG}" -target bpf ${machine} -std=gnu11 -g -O2 -Wall -Wextra -Werror -Wno-unused-parameter
              -Wno-missing-braces -D__TARGET_ARCH_${NIGHTJAR_BPF_ARCH} ${includes}
              -I "${CMAKE_SOURCE_DIR}" -idirafter "/usr/include/${CMAKE_LIBRARY_ARCHITECTURE}"
              "-ffile-prefix-map=${CMAKE_SOURCE_DIR}=." -MD -MT "${part}" -MF "${part}.d"
              -c "${CMAKE_CURRENT_SOURCE_DIR}/${source}" -o "${part}"
      DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${source}"
      DEPFILE "${part}.d"
      COMMENT "BPF ${source}" VERBATIM)
    list(APPEND parts "${part}")
  endforeach()
  # bpftool gen object also drops DWARF: its linker keeps BTF, programs and maps only.
  add_custom_command(
    OUTPUT "${CMAKE_CURRENT_BINARY_DIR}/${arg_OUTPUT}"
    COMMAND "${BPFTOOL}" gen object "${CMAKE_CURRENT_BINARY_DIR}/${arg_OUTPUT}" ${parts}
    DEPENDS ${parts}
    COMMENT "BPF link ${arg_OUTPUT}" VERBATIM)
  add_custom_target(${target} ALL DEPENDS "${CMAKE_CURRENT_BINARY_DIR}/${arg_OUTPUT}")
  set_target_properties(${target} PROPERTIES BPF_OBJECT "${CMAKE_CURRENT_BINARY_DIR}/${arg_OUTPUT}")
endfunction()
