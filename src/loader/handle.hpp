// SPDX-License-Identifier: Apache-2.0
// Owners for what C libraries hand out.
#pragma once

#include <cerrno>
#include <cstdint>
#include <memory>

#include <bpf/btf.h>
#include <bpf/libbpf.h>

namespace nightjar {

template <auto Function>
struct Call {
  void operator()(auto* pointer) const noexcept { Function(pointer); }
};

template <class T, auto Function>
using Handle = std::unique_ptr<T, Call<Function>>;

using ObjectHandle = Handle<bpf_object, bpf_object__close>;
/// What bpf_object__open_mem() answered. libbpf 1.1 returns some numbers of a hostile object (the size of an extern
/// variable, over 2 GiB) as if they were an errno, and its callers take what is none for a pointer. The kernel's half
/// of the addresses has no objects.
inline ObjectHandle own_object(bpf_object* object) {
  if (reinterpret_cast<std::intptr_t>(object) >= 0) return ObjectHandle(object);
  errno = EINVAL;
  return nullptr;
}

using LinkHandle = Handle<bpf_link, bpf_link__destroy>;
using BtfHandle = Handle<btf, btf__free>;

}  // namespace nightjar
