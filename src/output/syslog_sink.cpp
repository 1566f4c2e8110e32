// SPDX-License-Identifier: Apache-2.0
// syslog: RFC 5424 messages to the local daemon, or to another one over UDP or TCP (octet counting, RFC 6587).
#include <algorithm>
#include <array>

#include <unistd.h>

#include <sys/socket.h>

#include "output/json_walk.hpp"
#include "output/sink.hpp"
#include "output/sockets.hpp"

namespace nightjar {
namespace {

constexpr int connect_ms = 3000;
constexpr std::uint64_t udp_bytes_at_most = 65507 - 28;  // what an IPv4 datagram holds, options aside
constexpr std::uint64_t local_bytes_at_most = 1U << 20;
constexpr unsigned severity_warning = 4;
constexpr unsigned severity_info = 6;

struct Facility {
  std::string_view name;
  unsigned code;
};
constexpr Facility facilities[] = {
    {"kern", 0},    {"user", 1},    {"daemon", 3},  {"auth", 4},    {"syslog", 5},  {"authpriv", 10}, {"local0", 16},
    {"local1", 17}, {"local2", 18}, {"local3", 19}, {"local4", 20}, {"local5", 21}, {"local6", 22},   {"local7", 23},
};

class SyslogSink : public Sink {
 public:
  struct Where {
    std::string path;  ///< a local socket, or
    HostPort host;     ///< with
    int type = SOCK_DGRAM;
  };
  SyslogSink(Where where, unsigned facility, std::string host, std::string app, std::uint64_t largest)
      : where_(std::move(where)), facility_(facility), largest_(largest) {
    middle_ = " " + (host.empty() ? "-" : host) + " " + app + " " + std::to_string(getpid()) + " ";
  }

  Delivery deliver(const Batch& batch, std::size_t from) override {
    Delivery delivery;
    for (std::size_t i = from; i < batch.lines.size(); ++i) {
      if (!socket_.valid()) {
        auto connected = connect();
        if (!connected) {
          delivery.trouble = std::move(connected).error();
          return delivery;
        }
        socket_ = std::move(*connected);
      }
      compose(batch.lines[i].kind, batch.line(i));
      if (message_.size() > largest_) {
        refuse(delivery, batch.lines[i].kind);
        continue;
      }
      if (const int error = send_message(); error == EMSGSIZE) {
        refuse(delivery, batch.lines[i].kind);
        continue;
      } else if (error != 0) {
        // After a part of a message the connection is of no use; with datagrams the daemon may have been restarted.
        socket_.reset();
        delivery.trouble = Error::from_errno("cannot send to syslog", error);
        return delivery;
      }
      ++delivery.lines;
    }
    return delivery;
  }

 private:
  static void refuse(Delivery& delivery, Kind kind) {
    ++delivery.refused[kind];
    ++delivery.lines;
    delivery.reason = "too_large";
  }

  Result<UniqueFd> connect() {
    if (where_.path.empty()) return connect_to_host(where_.host, where_.type, connect_ms);
    auto socket = connect_to_unix(where_.path, SOCK_DGRAM);
    if (!socket && socket.error().sys() == EPROTOTYPE) {
      where_.type = SOCK_STREAM;
      socket = connect_to_unix(where_.path, SOCK_STREAM);
    }
    if (socket) {
      const timeval limit{1, 0};
      const int size = static_cast<int>(std::min<std::uint64_t>(largest_, local_bytes_at_most)) * 2;
      setsockopt(socket->get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
      setsockopt(socket->get(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    }
    return socket;
  }

  /// <PRI>1 TIMESTAMP HOST APP PID MSGID [meta sequenceId="N"] EVENT
  void compose(Kind kind, std::string_view line) {
    if (line.ends_with('\n')) line.remove_suffix(1);
    const unsigned severity = kind == Kind::events_lost ? severity_warning : severity_info;
    std::string stamp = json::unquoted(json::find(line, "@timestamp"));
    // RFC 5424 allows six decimals, the event has nine.
    if (const auto dot = stamp.find('.'); dot != std::string::npos && stamp.size() > dot + 7)
      stamp.erase(dot + 7, stamp.size() - dot - 8);
    sequence_ = sequence_ == 2147483647 ? 1 : sequence_ + 1;  // as RFC 5424 7.3.1 counts
    message_ = "<" + std::to_string(facility_ * 8 + severity) + ">1 ";
    message_ += stamp.empty() ? "-" : stamp;
    message_ += middle_;
    message_ += event_info(kind).action;
    message_ += " [meta sequenceId=\"" + std::to_string(sequence_) + "\"] ";
    message_ += line;
    if (where_.type == SOCK_STREAM) {
      if (where_.path.empty()) {
        message_.insert(0, std::to_string(message_.size()) + " ");
      } else {
        message_ += '\n';
      }
    }
  }

  /// 0 or an errno.
  int send_message() {
    std::string_view rest = message_;
    while (!rest.empty()) {
      const ssize_t n = send(socket_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return errno == EAGAIN ? ETIMEDOUT : errno;
      rest.remove_prefix(static_cast<std::size_t>(n));
    }
    return 0;
  }

  Where where_;
  unsigned facility_;
  std::uint64_t largest_;
  std::string middle_;
  std::string message_;
  unsigned sequence_ = 0;
  UniqueFd socket_;
};

Result<SyslogSink::Where> parse_where(const OutputSpec& spec) {
  SyslogSink::Where where;
  const std::string_view target = spec.target;
  if (target.empty()) {
    where.path = "/dev/log";
  } else if (target.starts_with("udp://")) {
    where.host = NIGHTJAR_TRY(parse_host_port(target.substr(6), "514"));
  } else if (target.starts_with("tcp://")) {
    where.host = NIGHTJAR_TRY(parse_host_port(target.substr(6), "601"));
    where.type = SOCK_STREAM;
  } else if (target.starts_with("unix:")) {
    where.path = target.substr(5);
  } else if (target.starts_with('/') && !target.starts_with("//")) {
    where.path = target;
  } else {
    return Error(errc::invalid, "output " + spec.uri +
                                    ": expected syslog:, syslog:/PATH, syslog:udp://HOST:PORT or "
                                    "syslog:tcp://HOST:PORT");
  }
  return where;
}

}  // namespace

SinkMaker open_syslog(const OutputSpec& spec, const SinkContext& context) {
  const auto where = NIGHTJAR_TRY(parse_where(spec));
  const std::string name = spec.text("facility", "daemon");
  const auto* facility = std::ranges::find(facilities, name, &Facility::name);
  if (facility == std::end(facilities)) {
    std::string names;
    for (const Facility& one : facilities) names += " " + std::string(one.name);
    return Error(errc::invalid, "output " + spec.uri + ": facility=" + name + ": expected one of" + names);
  }
  const bool udp = where.path.empty() && where.type == SOCK_DGRAM;
  const std::uint64_t largest = NIGHTJAR_TRY(spec.bytes("max-size", udp ? udp_bytes_at_most : local_bytes_at_most));
  return std::make_unique<SyslogSink>(where, facility->code, context.hostname, spec.text("app-name", "nightjar"),
                                      largest);
}

}  // namespace nightjar
