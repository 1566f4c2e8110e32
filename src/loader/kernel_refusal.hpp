// SPDX-License-Identifier: Apache-2.0
// What a kernel's "no" means for the caller.
#pragma once

#include <string>
#include <string_view>

#include "nightjar/result.hpp"

namespace nightjar {

/// An errno of bpf(2) or perf_event_open(2) as an Error. EPERM and EACCES are denied when this process lacks a
/// capability (named), else unsupported: the kernel's configuration or policy refuses, so another way may work. EINVAL,
/// E2BIG and ESRCH, which is how kernels refuse what they do not know, are unsupported too.
Error kernel_refused(std::string_view what, int sys);

/// The same for a failed load of a program or object, where libbpf's warnings tell more. rejected when the verifier
/// gave a reason that is about the program; its log is the detail.
Error load_refused(std::string_view what, int sys, const std::string& warnings);

}  // namespace nightjar
