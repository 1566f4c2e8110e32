# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by tools/setup, tools/build and ./test, so that all look for tools in the same way.
# Each function prints a path or a name and succeeds, or prints nothing and fails.

# A user's PATH on Debian has no sbin, and bpftool lives there.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# The Python that Debian's packages are for, whatever stands before it in PATH.
system_python() {
  if [[ -x /usr/bin/python3 ]]; then
    echo /usr/bin/python3
  else
    command -v python3
  fi
}

# The C++ compiler: CXX if set, else the newest g++ from 12 on.
find_cxx() {
  local candidate version
  for candidate in ${CXX:+"$CXX"} g++ g++-16 g++-15 g++-14 g++-13 g++-12; do
    command -v "$candidate" >/dev/null || continue
    version="$("$candidate" -dumpversion)"
    if [[ "$candidate" == "${CXX:-}" || "${version%%.*}" -ge 12 ]]; then
      echo "$candidate"
      return 0
    fi
  done 2>/dev/null
  return 1
}

# The C compiler that belongs to a C++ compiler: g++-12 → gcc-12, clang++-19 → clang-19.
matching_cc() {
  local dir="" name="$1"
  if [[ "$name" == */* ]]; then
    dir="${name%/*}/"
    name="${name##*/}"
  fi
  case "$name" in
    clang++*) echo "${dir}clang${name#clang++}" ;;
    *g++*) echo "${dir}${name/g++/gcc}" ;;
    *) echo "${CC:-cc}" ;;
  esac
}

# The clang that compiles for BPF, the same list as in cmake/BpfObject.cmake.
find_bpf_clang() {
  local candidate
  for candidate in clang-19 clang-18 clang-17 clang-16 clang-15 clang-14 clang; do
    if command -v "$candidate"; then
      return 0
    fi
  done
  return 1
}

# A clang++ that can link a libFuzzer program, newest first. Its runtime is a package of its own.
find_fuzz_clang() {
  local version runtime
  for version in 19 18 17 16 15 14; do
    command -v "clang++-$version" >/dev/null || continue
    for runtime in "/usr/lib/llvm-$version"/lib/clang/*/lib/*/libclang_rt.fuzzer*.a; do
      if [[ -e "$runtime" ]]; then
        echo "clang++-$version"
        return 0
      fi
    done
  done
  return 1
}

# A bpftool that runs. On Ubuntu /usr/sbin/bpftool may be a script that wants the tools of exactly the running kernel and
# fails without them, in a container for instance; any version found under /usr/lib serves, since we only link objects.
find_bpftool() {
  local candidate
  for candidate in "$(command -v bpftool)" /usr/lib/linux-tools/*/bpftool /usr/lib/linux-tools-*/bpftool; do
    if [[ -x "$candidate" ]] && "$candidate" version >/dev/null 2>&1; then
      echo "$candidate"
      return 0
    fi
  done
  return 1
}

# The version in a pkg-config file, found without pkg-config (it may not be installed yet).
pc_version() {
  local dir dirs line
  IFS=: read -r -a dirs <<<"${PKG_CONFIG_PATH:-}"
  for dir in "${dirs[@]}" /usr/local/lib/*/pkgconfig /usr/local/{lib,lib64,share}/pkgconfig \
    /usr/lib/*/pkgconfig /usr/{lib,lib64,share}/pkgconfig; do
    [[ -n "$dir" && -r "$dir/$1.pc" ]] || continue
    while read -r line; do
      if [[ "$line" == Version:* ]]; then
        echo "${line#Version: }"
        return 0
      fi
    done <"$dir/$1.pc"
  done
  return 1
}

# at_least 1.1 0.5.0 fails, at_least 1.1 1.3.0 succeeds. Two numbers are enough for us.
at_least() {
  local want_major="${1%%.*}" want_rest="${1#*.}" major="${2%%.*}" rest="${2#*.}"
  local want_minor="${want_rest%%.*}" minor="${rest%%.*}"
  ((major > want_major || (major == want_major && minor >= want_minor)))
}
