// SPDX-License-Identifier: Apache-2.0
#include "agent/metrics.hpp"

#include <charconv>
#include <cstdio>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

#include <sys/socket.h>
#include <sys/stat.h>

#include "output/sockets.hpp"
#include "output/spec.hpp"

namespace nightjar {
namespace {

constexpr int backlog = 8;
constexpr int client_ms = 1000;  // one that asks nothing is sent away
constexpr int look_ms = 200;

struct Loopback {
  sockaddr_in6 v6{};
  sockaddr_in v4{};
  bool is_v4 = false;
};

Result<Loopback> loopback_of(const std::string& uri) {
  Loopback loopback;
  auto& [v6, v4, is_v4] = loopback;
  const HostPort where = NIGHTJAR_TRY(parse_host_port(uri, ""));
  std::uint16_t port = 0;
  const char* end = where.port.data() + where.port.size();
  const bool has_port = std::from_chars(where.port.data(), end, port).ptr == end;
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  is_v4 = inet_pton(AF_INET, where.host.c_str(), &v4.sin_addr) == 1 && ntohl(v4.sin_addr.s_addr) >> 24 == 127;
  const bool is_v6 = inet_pton(AF_INET6, where.host.c_str(), &v6.sin6_addr) == 1 && IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
  if ((!is_v4 && !is_v6) || !has_port)
    return Error(errc::invalid,
                 "no place for metrics, " + uri + ": expected file:PATH, unix:PATH, 127.0.0.1:PORT or [::1]:PORT");
  return loopback;
}

Result<UniqueFd> listen_on_loopback(const std::string& uri) {
  const auto [v6, v4, is_v4] = NIGHTJAR_TRY(loopback_of(uri));
  UniqueFd fd(socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int yes = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const auto* address = is_v4 ? reinterpret_cast<const sockaddr*>(&v4) : reinterpret_cast<const sockaddr*>(&v6);
  const socklen_t size = is_v4 ? sizeof v4 : sizeof v6;
  if (!fd.valid() || bind(fd.get(), address, size) != 0 || listen(fd.get(), backlog) != 0)
    return Error::from_errno("cannot listen on " + uri);
  return fd;
}

bool send_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

}  // namespace

Result<> MetricsExporter::check(const std::string& uri) {
  if (uri.starts_with("file:") || uri.starts_with("unix:")) return {};
  NIGHTJAR_CHECK(loopback_of(uri));
  return {};
}

void MetricsText::family(std::string_view name, Type type, std::string_view help) {
  constexpr std::string_view types[] = {"counter", "gauge", "info"};
  constexpr std::string_view suffixes[] = {"_total", "", "_info"};
  const auto index = static_cast<std::size_t>(type);
  const std::string whole = "nightjar_" + std::string(name);
  text_ += "# TYPE " + whole + " " + std::string(types[index]) + "\n# HELP " + whole + " " + std::string(help) + "\n";
  name_ = whole + std::string(suffixes[index]);
}

void MetricsText::begin_sample(std::string_view labels) {
  text_ += name_;
  if (!labels.empty()) {
    text_ += '{';
    text_ += labels;
    text_ += '}';
  }
  text_ += ' ';
}

void MetricsText::sample(std::uint64_t value, std::string_view labels) {
  begin_sample(labels);
  text_ += std::to_string(value) + "\n";
}

void MetricsText::sample(double value, std::string_view labels) {
  begin_sample(labels);
  char number[32];
  text_.append(number, std::to_chars(number, number + sizeof number, value).ptr) += '\n';
}

std::string MetricsText::label(std::string_view name, std::string_view value) {
  std::string text(name);
  text += "=\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') text += '\\';
    if (c == '\n') {
      text += "\\n";
    } else {
      text += c;
    }
  }
  return text + "\"";
}

std::string MetricsText::finish() && {
  return std::move(text_) + "# EOF\n";
}

Result<std::unique_ptr<MetricsExporter>> MetricsExporter::open(const std::string& uri) {
  std::unique_ptr<MetricsExporter> exporter(new MetricsExporter);
  exporter->uri_ = uri;
  if (uri.starts_with("file:")) {
    exporter->is_file_ = true;
    exporter->place_ = NIGHTJAR_TRY(find_safe_place(uri.substr(5)));
  } else if (uri.starts_with("unix:")) {
    exporter->place_ = NIGHTJAR_TRY(find_safe_place(uri.substr(5)));
    exporter->listener_ = NIGHTJAR_TRY(listen_on_unix(exporter->place_, 0600, backlog));
  } else {
    exporter->listener_ = NIGHTJAR_TRY(listen_on_loopback(uri));
  }
  return exporter;
}

MetricsExporter::~MetricsExporter() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
  if (listener_.valid() && place_.directory.valid()) unlinkat(place_.directory.get(), place_.name.c_str(), 0);
}

void MetricsExporter::start() {
  if (listener_.valid()) thread_ = std::thread([this] { serve(); });
}

Result<> MetricsExporter::publish(std::string text) {
  if (!is_file_) {
    const std::lock_guard guard(mutex_);
    text_ = std::move(text);
    return {};
  }
  const std::string temporary = "." + place_.name + ".new";
  const int directory = place_.directory.get();
  // node_exporter, another user, reads it.
  const UniqueFd file(
      openat(directory, temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!file.valid()) return Error::from_errno("cannot write the metrics " + place_.path);
  const ssize_t written = ::write(file.get(), text.data(), text.size());
  if (written != static_cast<ssize_t>(text.size())) {
    const Error error = Error::from_errno("cannot write the metrics " + place_.path, written < 0 ? errno : ENOSPC);
    unlinkat(directory, temporary.c_str(), 0);
    return error;
  }
  fchmod(file.get(), 0644);
  if (renameat(directory, temporary.c_str(), directory, place_.name.c_str()) != 0)
    return Error::from_errno("cannot replace the metrics " + place_.path);
  return {};
}

void MetricsExporter::serve() {
  while (!stop_) {
    pollfd wait{listener_.get(), POLLIN, 0};
    if (poll(&wait, 1, look_ms) != 1) continue;
    const UniqueFd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (client.valid()) answer(client.get());
  }
}

void MetricsExporter::answer(int client) {
  const timeval limit{client_ms / 1000, 0};
  setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  char request[4096];
  const ssize_t n = recv(client, request, sizeof request, 0);
  if (n <= 0) return;
  const std::string_view asked(request, static_cast<std::size_t>(n));
  if (!asked.starts_with("GET /metrics") && !asked.starts_with("GET / ")) {
    send_all(client, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    return;
  }
  std::string text;
  {
    const std::lock_guard guard(mutex_);
    text = text_;
  }
  send_all(client,
           "HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"
           "Content-Length: " +
               std::to_string(text.size()) + "\r\nConnection: close\r\n\r\n" + text);
}

}  // namespace nightjar
