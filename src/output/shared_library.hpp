// SPDX-License-Identifier: Apache-2.0
// Libraries that only some outputs need are loaded when such an output is opened: an agent without them starts faster,
// is smaller, and has their code nowhere in its address space (docs/decisions/0006).
#pragma once

#include <string>

#include <dlfcn.h>

#include "nightjar/result.hpp"

namespace nightjar {

class SharedLibrary {
 public:
  /// `package` is what to install, for the message. Never unloaded: both libraries keep threads and thread-local data.
  static Result<SharedLibrary> open(const char* soname, const char* package) {
    void* handle = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr)
      return Error(errc::unsupported,
                   "cannot load " + std::string(soname) + " (Debian: " + package + "): " + dlerror());
    return SharedLibrary(handle);
  }

  /// Sets `function` to the library's function of that name.
  template <class Function>
  Result<> find(const char* name, Function*& function) const {
    function = reinterpret_cast<Function*>(dlsym(handle_, name));
    if (function == nullptr) return Error(errc::unsupported, "the library has no " + std::string(name));
    return {};
  }

 private:
  explicit SharedLibrary(void* handle) : handle_(handle) {}
  void* handle_;
};

/// A pointer named as the function it stands for, with that function's type from the library's header.
#define NIGHTJAR_IMPORT(name) decltype(::name)* name = nullptr
#define NIGHTJAR_FIND(library, name) NIGHTJAR_CHECK((library).find(#name, api.name))

}  // namespace nightjar
