// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "handle.hpp"
#include "nightjar/result.hpp"

namespace nightjar {

/// The running kernel's own BTF, parsed (some 40 ms and 10 MB).
class KernelTypes {
 public:
  /// Fails with unsupported (the kernel has none), or denied.
  static Result<KernelTypes> load();

  /// The id of function `name`, or 0.
  [[nodiscard]] std::uint32_t function(const std::string& name) const;
  /// The id of struct `name`, or 0.
  [[nodiscard]] std::uint32_t structure(const std::string& name) const;
  /// The id of typedef `name` (tracepoints are "btf_trace_NAME"), or 0.
  [[nodiscard]] std::uint32_t type_definition(const std::string& name) const;
  /// The id of per-CPU variable `name`, or 0.
  [[nodiscard]] std::uint32_t variable(const std::string& name) const;
  /// Whether the kernel has a struct of that name with that member, not within an unnamed one.
  [[nodiscard]] bool has_member(const std::string& record, std::string_view member) const;

 private:
  explicit KernelTypes(BtfHandle types) : types_(std::move(types)) {}
  BtfHandle types_;
};

}  // namespace nightjar
