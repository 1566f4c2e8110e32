// SPDX-License-Identifier: Apache-2.0
#include "kernel_refusal.hpp"

#include <algorithm>
#include <cerrno>

#include "libbpf_log.hpp"
#include "nightjar/privileges.hpp"
#include "text.hpp"

namespace nightjar {
namespace {

Error permission_refused(const std::string& what, int sys) {
  if (auto privileged = check_privileges(); !privileged) {
    return {errc::denied, what + ": " + text::errno_text(sys) + ": " + privileged.error().what(), sys};
  }
  return {errc::unsupported,
          what + ": " + text::errno_text(sys) +
              ", although this process has the capabilities: the kernel's configuration, lockdown or a security policy "
              "refuses it",
          sys};
}

/// libbpf's warnings after the first, without those that only repeat that it failed, or guess wrongly why.
std::string other_warnings(std::string_view warnings) {
  std::string kept;
  warnings.remove_prefix(std::min(warnings.size(), first_warning(warnings).size() + 1));
  while (!warnings.empty()) {
    const std::string_view line = first_warning(warnings);
    warnings.remove_prefix(std::min(warnings.size(), line.size() + 1));
    if (line.empty() || line.starts_with("failed to load object") || line.find(": failed to load: ") != line.npos ||
        line.starts_with("permission error while running as root")) {
      continue;
    }
    kept += line;
    kept += '\n';
  }
  return kept;
}

/// Verifier messages which mean that the kernel is too old or built otherwise, not that the program is wrong.
bool lacks_something(std::string_view log) {
  return log.find("<invalid CO-RE relocation>") != std::string_view::npos ||
         log.find("unknown func ") != std::string_view::npos || log.find("unknown opcode ") != std::string_view::npos ||
         log.find("invalid func unknown#") != std::string_view::npos;
}

}  // namespace

Error kernel_refused(std::string_view what, int sys) {
  if (sys == EPERM || sys == EACCES) return permission_refused(std::string(what), sys);
  Error error = Error::from_errno(what, sys);
  if (sys == EINVAL || sys == E2BIG || sys == ESRCH || sys == ENODEV || sys == ENOENT) {
    return {errc::unsupported, error.what(), sys};
  }
  return error;
}

Error load_refused(std::string_view what, int sys, const std::string& warnings) {
  const std::string_view log = verifier_log(warnings);
  if (sys == EPERM) return permission_refused(std::string(what), sys).with_detail(std::string(log));
  if (log.empty()) {
    const std::string_view first = first_warning(warnings);
    Error error = kernel_refused(what, sys);
    if (first.empty()) return error;
    return Error(error.code(), error.what() + " (" + std::string(first) + ")", sys)
        .with_detail(other_warnings(warnings));
  }
  if (lacks_something(log)) {
    return Error(errc::unsupported, std::string(what) + ": this kernel lacks something that the program needs", sys)
        .with_detail(std::string(log));
  }
  // Refused before the verifier, for want of a capability, it would have been EPERM; EACCES comes from the verifier.
  return Error(errc::rejected, std::string(what) + ": the verifier refused it: " + text::errno_text(sys), sys)
      .with_detail(std::string(log));
}

}  // namespace nightjar
