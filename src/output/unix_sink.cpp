// SPDX-License-Identifier: Apache-2.0
// unix:PATH: a server socket. Whoever connects reads the stream from then on, each client at its own speed.
#include <algorithm>
#include <cstring>
#include <deque>

#include <fcntl.h>
#include <unistd.h>

#include <sys/epoll.h>
#include <sys/socket.h>

#include "output/sink.hpp"
#include "output/sockets.hpp"

namespace nightjar {
namespace {

constexpr std::uint64_t client_buffer_bytes = 4ULL << 20;
constexpr std::size_t clients_at_most = 32;
constexpr int backlog = 8;

/// One reader. What it did not read yet stands in `waiting`, whole lines but for the first.
struct Client {
  UniqueFd socket;
  std::string waiting;
  std::size_t sent = 0;  ///< of `waiting`
  struct Waiting {
    Kind kind;
    std::size_t bytes;
  };
  std::deque<Waiting> lines;  ///< of `waiting`

  [[nodiscard]] std::size_t unsent() const { return waiting.size() - sent; }
};

class UnixSink : public Sink {
 public:
  UnixSink(std::string path, SafePlace place, UniqueFd server, UniqueFd epoll, std::uint64_t buffer, LogSink log)
      : path_(std::move(path)),
        place_(std::move(place)),
        server_(std::move(server)),
        epoll_(std::move(epoll)),
        buffer_(buffer),
        log_(std::move(log)) {}
  ~UnixSink() override { unlinkat(place_.directory.get(), place_.name.c_str(), 0); }
  UnixSink(const UnixSink&) = delete;
  UnixSink& operator=(const UnixSink&) = delete;

  [[nodiscard]] int fd() const override { return epoll_.get(); }

  Delivery deliver(const Batch& batch, std::size_t from) override {
    idle();
    Delivery delivery;
    if (clients_.empty()) {
      delivery.trouble = Error(errc::busy, "nobody is connected to " + path_);
      return delivery;
    }
    // A batch larger than what a client may have waiting goes in parts.
    std::size_t end = from + 1;
    while (end < batch.lines.size() && batch.lines[end].end - batch.begin_of(from) <= buffer_ / 2) ++end;
    const std::string_view text =
        std::string_view(batch.text).substr(batch.begin_of(from), batch.lines[end - 1].end - batch.begin_of(from));
    for (Client& client : clients_) {
      for (std::size_t i = from; i < end; ++i) {
        client.lines.push_back({batch.lines[i].kind, batch.line(i).size()});
      }
      client.waiting.erase(0, std::exchange(client.sent, 0));
      client.waiting += text;
      send_waiting(client);
    }
    drop_clients(delivery);
    delivery.lines = end - from;
    return delivery;
  }

  void idle() override {
    while (clients_.size() < clients_at_most) {
      UniqueFd socket(accept4(server_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!socket.valid()) break;
      epoll_event event{};
      event.events = EPOLLIN | EPOLLRDHUP | EPOLLOUT | EPOLLET;
      event.data.fd = socket.get();
      epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket.get(), &event);
      clients_.emplace_back().socket = std::move(socket);
    }
    epoll_event events[clients_at_most + 1];
    while (epoll_wait(epoll_.get(), events, clients_at_most + 1, 0) == static_cast<int>(clients_at_most) + 1) {
    }
    for (Client& client : clients_) {
      char nothing[256];
      const ssize_t n = recv(client.socket.get(), nothing, sizeof nothing, MSG_DONTWAIT);
      if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        client.socket.reset();
      } else {
        send_waiting(client);
      }
    }
    Delivery none;
    drop_clients(none);
  }

  /// What clients did not take yet, they get some time for.
  Result<> close() override {
    for (int i = 0; i < 20 && std::ranges::any_of(clients_, [](const Client& c) { return c.unsent() != 0; }); ++i) {
      usleep(100'000);
      idle();
    }
    return {};
  }

 private:
  void send_waiting(Client& client) {
    while (client.socket.valid() && client.unsent() != 0) {
      const ssize_t n =
          send(client.socket.get(), client.waiting.data() + client.sent, client.unsent(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) break;
      if (n < 0) {
        client.socket.reset();
        return;
      }
      client.sent += static_cast<std::size_t>(n);
    }
    // Forget the lines that are gone in whole.
    std::uint64_t unsent = 0;
    auto line = client.lines.rbegin();
    while (line != client.lines.rend() && unsent < client.unsent()) unsent += (line++)->bytes;
    client.lines.erase(client.lines.begin(), line.base());
  }

  void drop_clients(Delivery& delivery) {
    for (Client& client : clients_) {
      if (!client.socket.valid() || client.unsent() <= buffer_) continue;
      std::uint64_t count = 0;
      for (const Client::Waiting& line : client.lines) {
        ++delivery.refused[line.kind];
        ++count;
      }
      delivery.reason = "client_slow";
      client.socket.reset();
      if (log_)
        log_(LogLevel::warning, "output unix:" + path_ + ": cut off a client that reads too slowly; it misses " +
                                    std::to_string(count) + " events and what follows");
    }
    std::erase_if(clients_, [](const Client& client) { return !client.socket.valid(); });
  }

  std::string path_;
  SafePlace place_;
  UniqueFd server_, epoll_;
  std::uint64_t buffer_;
  LogSink log_;
  std::deque<Client> clients_;
};

}  // namespace

SinkMaker open_unix(const OutputSpec& spec, const SinkContext& context) {
  const std::uint64_t buffer = NIGHTJAR_TRY(spec.bytes("client-buffer", client_buffer_bytes));
  const unsigned mode = NIGHTJAR_TRY(file_mode(spec, 0600));
  SafePlace place = NIGHTJAR_TRY(find_safe_place(spec.target));
  auto server = NIGHTJAR_TRY(listen_on_unix(place, mode, backlog));
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = server.get();
  if (!epoll.valid() || epoll_ctl(epoll.get(), EPOLL_CTL_ADD, server.get(), &event) != 0)
    return Error::from_errno("epoll");
  return std::make_unique<UnixSink>(spec.target, std::move(place), std::move(server), std::move(epoll), buffer,
                                    context.log);
}

}  // namespace nightjar
