// SPDX-License-Identifier: Apache-2.0
// Owners for what C libraries hand out.
#pragma once

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
using LinkHandle = Handle<bpf_link, bpf_link__destroy>;
using BtfHandle = Handle<btf, btf__free>;

}  // namespace nightjar
