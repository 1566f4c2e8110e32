// SPDX-License-Identifier: Apache-2.0
#include "agent/output.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace nightjar {

Result<Output> Output::open(const std::string& uri) {
  if (uri == "-") {
    if (fcntl(STDOUT_FILENO, F_GETFD) < 0)
      return Error(errc::system, "standard output is closed: open it, or choose --output file:PATH");
    return Output("standard output");
  }
  constexpr std::string_view scheme = "file:";
  if (!uri.starts_with(scheme) || uri.size() == scheme.size())
    return Error(errc::invalid,
                 "unknown output '" + uri + "': this version writes to - (standard output) and file:PATH");
  Output output(uri.substr(scheme.size()));
  output.file_.reset(::open(output.name_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!output.file_.valid()) return Error::from_errno("cannot write events to " + output.name_);
  return output;
}

Result<> Output::write(std::string_view lines) {
  const int fd = file_.valid() ? file_.get() : STDOUT_FILENO;
  while (!lines.empty()) {
    const ssize_t n = ::write(fd, lines.data(), lines.size());
    if (n >= 0) {
      lines.remove_prefix(static_cast<std::size_t>(n));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) {
      pollfd wait{fd, POLLOUT, 0};
      poll(&wait, 1, 1000);
      continue;
    }
    return Error::from_errno("cannot write events to " + name_);
  }
  return {};
}

}  // namespace nightjar
