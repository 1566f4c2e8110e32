// SPDX-License-Identifier: Apache-2.0
// Attaching loaded programs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "handle.hpp"
#include "nightjar/program.hpp"
#include "nightjar/result.hpp"
#include "tracefs.hpp"

namespace nightjar {

/// Kinds whose attach point is part of the program once it is loaded.
bool is_fixed_at_load(ProgramKind kind);

/// The names under which `point` may be known here: for a system call the architecture's wrapper first, then the older
/// spellings; else itself.
std::vector<std::string> spellings(const std::string& point, ProgramKind kind, bool is_syscall);

struct Attachment {
  std::string hook;  ///< "kind/point", several points separated by commas
  std::vector<LinkHandle> links;
};

/// Attaches programs; holds what they share (a tracefs handle, opened when first needed).
class Attacher {
 public:
  /// `points`: not empty except for kind other. Fails with unsupported when none (or, with wants_all, any) of the
  /// points exists, denied, or as the kernel says; then nothing of this program stays attached.
  Result<Attachment> attach(bpf_program* program, ProgramKind kind, const std::vector<std::string>& points,
                            bool is_syscall, bool wants_all);

 private:
  Result<LinkHandle> attach_at(bpf_program* program, ProgramKind kind, const std::string& point);
  Result<LinkHandle> attach_tracepoint(bpf_program* program, const std::string& event);

  std::optional<Tracefs> tracefs_;
};

}  // namespace nightjar
