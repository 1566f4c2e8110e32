// SPDX-License-Identifier: Apache-2.0
#include "kernel_types.hpp"

#include <algorithm>
#include <cerrno>
#include <span>

#include <bpf/btf.h>
#include <linux/btf.h>

#include "libbpf_log.hpp"

namespace nightjar {
namespace {

std::uint32_t id_or_zero(int id) {
  return id > 0 ? static_cast<std::uint32_t>(id) : 0;
}

}  // namespace

Result<KernelTypes> KernelTypes::load() {
  const LibbpfCapture quiet;
  BtfHandle types(::btf__load_vmlinux_btf());
  if (types) return KernelTypes(std::move(types));
  if (errno == EPERM || errno == EACCES) return Error::from_errno("the kernel's BTF");
  return Error(errc::unsupported, "the kernel has no readable BTF (CONFIG_DEBUG_INFO_BTF)", errno);
}

std::uint32_t KernelTypes::function(const std::string& name) const {
  return id_or_zero(::btf__find_by_name_kind(types_.get(), name.c_str(), BTF_KIND_FUNC));
}

std::uint32_t KernelTypes::structure(const std::string& name) const {
  return id_or_zero(::btf__find_by_name_kind(types_.get(), name.c_str(), BTF_KIND_STRUCT));
}

std::uint32_t KernelTypes::variable(const std::string& name) const {
  return id_or_zero(::btf__find_by_name_kind(types_.get(), name.c_str(), BTF_KIND_VAR));
}

bool KernelTypes::has_member(const std::string& record, std::string_view member) const {
  const btf_type* type = ::btf__type_by_id(types_.get(), structure(record));
  if (type == nullptr || !::btf_is_struct(type)) return false;
  const std::span members(::btf_members(type), ::btf_vlen(type));
  return std::any_of(members.begin(), members.end(), [&](const btf_member& one) {
    const char* name = ::btf__name_by_offset(types_.get(), one.name_off);
    return name != nullptr && name == member;
  });
}

std::uint32_t KernelTypes::type_definition(const std::string& name) const {
  return id_or_zero(::btf__find_by_name_kind(types_.get(), name.c_str(), BTF_KIND_TYPEDEF));
}

}  // namespace nightjar
