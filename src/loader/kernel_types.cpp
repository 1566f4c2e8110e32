// SPDX-License-Identifier: Apache-2.0
#include "kernel_types.hpp"

#include <cerrno>

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

std::uint32_t KernelTypes::type_definition(const std::string& name) const {
  return id_or_zero(::btf__find_by_name_kind(types_.get(), name.c_str(), BTF_KIND_TYPEDEF));
}

}  // namespace nightjar
