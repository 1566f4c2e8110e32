// SPDX-License-Identifier: Apache-2.0
#include "output/sockets.hpp"

#include <cstring>
#include <memory>

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <unistd.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

namespace nightjar {
namespace {

Result<sockaddr_un> unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return Error(errc::invalid, "the socket's path " + path + " is longer than 107 bytes");
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Error lookup_failed(const HostPort& where, int error) {
  return Error(errc::system, "cannot resolve " + where.host + ": " + gai_strerror(error));
}

}  // namespace

Result<UniqueFd> connect_to_unix(const std::string& path, int type) {
  const sockaddr_un address = NIGHTJAR_TRY(unix_address(path));
  UniqueFd fd(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return Error::from_errno("socket");
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return Error::from_errno("cannot connect to " + path);
  return fd;
}

Result<UniqueFd> listen_on_unix(const SafePlace& place, unsigned mode, int backlog) {
  // Through the directory that was checked, not through the path again.
  const std::string path = "/proc/self/fd/" + std::to_string(place.directory.get()) + "/" + place.name;
  const sockaddr_un address = NIGHTJAR_TRY(unix_address(path));
  struct stat status{};
  if (fstatat(place.directory.get(), place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
    if (!S_ISSOCK(status.st_mode)) return Error(errc::invalid, place.path + " exists and is no socket");
    if (connect_to_unix(path, SOCK_STREAM)) return Error(errc::busy, place.path + ": another server listens there");
    if (unlinkat(place.directory.get(), place.name.c_str(), 0) != 0)
      return Error::from_errno("cannot replace the socket " + place.path);
  }
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return Error::from_errno("socket");
  // bind() creates the name with these bits: nobody can connect in between.
  const mode_t before = umask(static_cast<mode_t>(~mode & 0777U));
  const int bound = bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int error = errno;
  umask(before);
  if (bound != 0) return Error::from_errno("cannot create the socket " + place.path, error);
  if (listen(fd.get(), backlog) != 0) return Error::from_errno("cannot listen on " + place.path);
  return fd;
}

Result<UniqueFd> connect_to_host(const HostPort& where, int type, int timeout_ms) {
  addrinfo hints{};
  hints.ai_socktype = type;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(where.host.c_str(), where.port.c_str(), &hints, &found); error != 0)
    return lookup_failed(where, error);
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> all(found, freeaddrinfo);
  int error = ECONNREFUSED;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    UniqueFd fd(socket(one->ai_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, one->ai_protocol));
    if (!fd.valid()) continue;
    int result = connect(fd.get(), one->ai_addr, one->ai_addrlen) == 0 ? 0 : errno;
    if (result == EINPROGRESS) {
      pollfd ready{fd.get(), POLLOUT, 0};
      socklen_t size = sizeof result;
      if (poll(&ready, 1, timeout_ms) != 1) {
        result = ETIMEDOUT;
      } else {
        getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &result, &size);
      }
    }
    error = result;
    if (result != 0) continue;
    fcntl(fd.get(), F_SETFL, fcntl(fd.get(), F_GETFL) & ~O_NONBLOCK);
    const timeval limit{timeout_ms / 1000, (timeout_ms % 1000) * 1000};
    setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    return fd;
  }
  return Error::from_errno("cannot connect to " + where.host + ":" + where.port, error);
}

}  // namespace nightjar
