// SPDX-License-Identifier: Apache-2.0
// journald: its native protocol (systemd's "Native Journal Protocol"): a datagram of NAME=VALUE lines, or, when that is
// too large for a datagram, a sealed memfd that holds the same.
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/socket.h>

#include "output/json_walk.hpp"
#include "output/sink.hpp"
#include "output/sockets.hpp"

namespace nightjar {
namespace {

constexpr std::size_t name_bytes_at_most = 64;  // journald drops longer names
constexpr std::size_t fields_at_most = 256;     // it keeps 1024

/// PROCESS_PARENT_PID for process.parent.pid; empty for what cannot be a name.
std::string field_name(std::string_view dotted) {
  std::string name;
  for (const char c : dotted) {
    if (c >= 'a' && c <= 'z') {
      name += static_cast<char>(c - 'a' + 'A');
    } else if ((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) {
      name += c;
    } else if (!name.empty()) {  // a leading underscore is journald's own
      name += '_';
    }
  }
  return name.size() > name_bytes_at_most || name.empty() || (name[0] >= '0' && name[0] <= '9') ? "" : name;
}

class JournaldSink : public Sink {
 public:
  explicit JournaldSink(std::string path) : path_(std::move(path)) {}

  Delivery deliver(const Batch& batch, std::size_t from) override {
    Delivery delivery;
    for (std::size_t i = from; i < batch.lines.size(); ++i) {
      compose(batch.lines[i].kind, batch.line(i));
      if (auto sent = send_entry(); !sent) {
        socket_.reset();
        delivery.trouble = std::move(sent).error();
        return delivery;
      }
      ++delivery.lines;
    }
    return delivery;
  }

 private:
  void field(std::string_view name, std::string_view value) {
    entry_ += name;
    if (value.find('\n') == std::string_view::npos) {
      entry_ += '=';
      entry_ += value;
    } else {
      entry_ += '\n';
      for (unsigned shift = 0; shift < 64; shift += 8) entry_ += static_cast<char>(value.size() >> shift & 0xff);
      entry_ += value;
    }
    entry_ += '\n';
  }

  void compose(Kind kind, std::string_view line) {
    if (line.ends_with('\n')) line.remove_suffix(1);
    entry_.clear();
    std::string message(event_info(kind).action);
    std::string command;
    std::size_t fields = 0;
    field("SYSLOG_IDENTIFIER", "nightjar");
    field("PRIORITY", kind == Kind::events_lost ? "4" : "6");
    json::walk(line, [&](std::string_view dotted, std::string_view value) {
      if (dotted == "process.command_line") command = json::unquoted(value);
      if (value.starts_with('[') || value.starts_with('{')) return true;  // in NIGHTJAR_EVENT
      const std::string name = field_name(dotted);
      if (!name.empty()) field(name, json::unquoted(value));
      return ++fields < fields_at_most;
    });
    if (!command.empty()) {
      message += ": ";
      for (const char c : command) message += static_cast<unsigned char>(c) < ' ' || c == '\x7f' ? ' ' : c;
    }
    field("MESSAGE", message);
    field("NIGHTJAR_EVENT", line);
  }

  Result<> send_entry() {
    if (!socket_.valid()) {
      socket_ = NIGHTJAR_TRY(connect_to_unix(path_, SOCK_DGRAM));
      const timeval limit{1, 0};
      setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    }
    if (send(socket_.get(), entry_.data(), entry_.size(), MSG_NOSIGNAL) >= 0) return {};
    if (errno != EMSGSIZE && errno != ENOBUFS) return Error::from_errno("cannot send to journald");
    return send_memfd();
  }

  Result<> send_memfd() {
    const UniqueFd memory(memfd_create("nightjar-journal", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!memory.valid()) return Error::from_errno("memfd_create");
    for (std::string_view rest = entry_; !rest.empty();) {
      const ssize_t n = ::write(memory.get(), rest.data(), rest.size());
      if (n < 0) return Error::from_errno("cannot write a large entry");
      rest.remove_prefix(static_cast<std::size_t>(n));
    }
    // journald takes none that could still change.
    if (fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
      return Error::from_errno("cannot seal a large entry");
    msghdr message{};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = memory.get();
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    if (sendmsg(socket_.get(), &message, MSG_NOSIGNAL) < 0) return Error::from_errno("cannot send to journald");
    return {};
  }

  std::string path_;
  std::string entry_;
  UniqueFd socket_;
};

}  // namespace

SinkMaker open_journald(const OutputSpec& spec, const SinkContext&) {
  if (!spec.target.empty() && !spec.target.starts_with('/'))
    return Error(errc::invalid, "output " + spec.uri + ": expected journald: or journald:/PATH of its socket");
  return std::make_unique<JournaldSink>(spec.target.empty() ? "/run/systemd/journal/socket" : spec.target);
}

}  // namespace nightjar
