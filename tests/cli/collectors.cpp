// SPDX-License-Identifier: Apache-2.0
#include "collectors.hpp"

#include <cstring>

#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

#include <sys/socket.h>
#include <sys/un.h>

namespace nightjar::test {
namespace {

int bind_loopback(int type, int& port) {
  const int fd = ::socket(AF_INET, type | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0) return -1;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  port = ntohs(address.sin_port);
  return fd;
}

sockaddr_un unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  return address;
}

bool readable(int fd, int ms) {
  pollfd wait{fd, POLLIN, 0};
  return ::poll(&wait, 1, ms) == 1;
}

}  // namespace

HttpCollector::HttpCollector(Handler handler) : handler_(std::move(handler)) {
  listener_ = bind_loopback(SOCK_STREAM, port_);
  ::listen(listener_, 8);
  thread_ = std::thread([this] { serve(); });
}

HttpCollector::~HttpCollector() {
  stop_ = true;
  thread_.join();
  ::close(listener_);
}

void HttpCollector::serve() {
  while (!stop_) {
    if (!readable(listener_, 50)) continue;
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    answer_one(client);
    ::close(client);
  }
}

void HttpCollector::answer_one(int client) {
  std::string request;
  std::size_t body_at = std::string::npos;
  std::size_t length = 0;
  while (readable(client, 5000)) {
    char bytes[65536];
    const ssize_t n = ::recv(client, bytes, sizeof bytes, 0);
    if (n <= 0) return;
    request.append(bytes, static_cast<std::size_t>(n));
    if (body_at == std::string::npos && (body_at = request.find("\r\n\r\n")) != std::string::npos) {
      body_at += 4;
      const auto at = request.find("Content-Length: ");
      if (at < body_at) length = std::stoul(request.substr(at + 16));
    }
    if (body_at != std::string::npos && request.size() >= body_at + length) break;
  }
  if (body_at == std::string::npos) return;
  const Answer answer = handler_(++requests_, request.substr(0, request.find('\r')), request.substr(body_at));
  const std::string text = "HTTP/1.1 " + std::to_string(answer.status) +
                           " x\r\nContent-Length: " + std::to_string(answer.body.size()) +
                           "\r\nConnection: close\r\n\r\n" + answer.body;
  (void)!::send(client, text.data(), text.size(), MSG_NOSIGNAL);
}

DatagramReader::DatagramReader(const std::string& path) {
  if (path.empty()) {
    socket_ = bind_loopback(SOCK_DGRAM, port_);
  } else {
    socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const sockaddr_un address = unix_address(path);
    (void)::bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  thread_ = std::thread([this] { serve(); });
}

DatagramReader::~DatagramReader() {
  stop_ = true;
  thread_.join();
  ::close(socket_);
}

void DatagramReader::serve() {
  std::string bytes(1U << 20, '\0');
  while (!stop_) {
    if (!readable(socket_, 50)) continue;
    alignas(cmsghdr) char control[64] = {};
    iovec part{bytes.data(), bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t n = ::recvmsg(socket_, &message, MSG_CMSG_CLOEXEC);
    if (n < 0) continue;
    std::string text = bytes.substr(0, static_cast<std::size_t>(n));
    if (const cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr && header->cmsg_type == SCM_RIGHTS) {
      int file = -1;
      std::memcpy(&file, CMSG_DATA(header), sizeof file);
      text.clear();
      char piece[65536];
      off_t at = 0;
      for (ssize_t m = 0; (m = ::pread(file, piece, sizeof piece, at)) > 0; at += m)
        text.append(piece, static_cast<std::size_t>(m));
      ::close(file);
      ++files_;
    }
    const std::lock_guard guard(mutex_);
    messages_.push_back(std::move(text));
  }
}

std::vector<std::string> DatagramReader::messages() {
  const std::lock_guard guard(mutex_);
  return messages_;
}

int connect_to(const std::string& path) {
  const sockaddr_un address = unix_address(path);
  for (int i = 0; i < 100; i++) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
    ::close(fd);
    ::usleep(50000);
  }
  return -1;
}

}  // namespace nightjar::test
