// SPDX-License-Identifier: Apache-2.0
// sd_notify's protocol is one datagram: no reason to link libsystemd.
#include "agent/service.hpp"

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include <unistd.h>

#include <sys/socket.h>
#include <sys/un.h>

#include "nightjar/unique_fd.hpp"

namespace nightjar {
namespace {

/// Read once, and gone: COMMAND and whatever else is started must not speak for us.
std::string take_variable(const char* name) {
  const char* value = std::getenv(name);
  std::string text = value != nullptr ? value : "";
  unsetenv(name);
  return text;
}

std::uint64_t number(const std::string& text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

ServiceManager::ServiceManager() : socket_(take_variable("NOTIFY_SOCKET")) {
  const std::uint64_t pid = number(take_variable("WATCHDOG_PID"));
  const std::uint64_t microseconds = number(take_variable("WATCHDOG_USEC"));
  if (pid == 0 || pid == static_cast<std::uint64_t>(getpid())) watchdog_ns_ = microseconds * 1000;
}

void ServiceManager::alive(std::uint64_t now_ns) {
  if (watchdog_ns_ == 0 || now_ns < next_ns_) return;
  next_ns_ = now_ns + watchdog_ns_ / 3;
  tell("WATCHDOG=1");
}

void ServiceManager::tell(std::string_view state) const {
  sockaddr_un address{};
  if (socket_.empty() || socket_.size() >= sizeof address.sun_path) return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, socket_.data(), socket_.size());
  if (socket_[0] == '@') address.sun_path[0] = '\0';
  const UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());
  // A manager that does not listen is its own affair.
  (void)!sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                reinterpret_cast<const sockaddr*>(&address), size);
}

}  // namespace nightjar
