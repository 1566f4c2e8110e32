// SPDX-License-Identifier: Apache-2.0
// nightjar top: who makes the events, how many there are and what was lost, redrawn every second.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <unordered_map>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <sys/ioctl.h>
#include <sys/wait.h>

#include "agent/commands.hpp"
#include "agent/recorded.hpp"
#include "nightjar/unique_fd.hpp"

namespace nightjar {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t most_processes = 65536;
constexpr std::size_t longest_line = 4 << 20;

// What follows ESC [ and ends with m.
constexpr const char* bold = "1";
constexpr const char* dim = "2";
constexpr const char* red = "1;31";

volatile sig_atomic_t interrupted = 0;

/// What a terminal would obey becomes a question mark.
std::string printable(std::string_view text, std::size_t width) {
  std::string safe;
  for (const char c : text) {
    if (safe.size() == width) break;
    safe += static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f ? '?' : c;
  }
  return safe;
}

class Board {
 public:
  void take(std::string_view line) {
    if (line.empty()) return;
    const auto event = parse_event(line);
    if (event.is_discarded()) {
      ++skipped_;
      return;
    }
    const std::string action = text_at(event, "event.action");
    sequence_.see(number_at(event, "event.sequence"));
    if (action == "events_lost") lost_ += number_at(event, "nightjar.lost.count");
    ++total_;
    if (actions_.size() < 256 || actions_.contains(action)) ++actions_[action].now;
    const std::string entity = text_at(event, "process.entity_id");
    if (entity.empty() || action.starts_with("sensor_") || action.starts_with("events_")) return;
    if (processes_.size() >= most_processes && !processes_.contains(entity)) processes_.clear();
    Row& row = processes_[entity];
    ++row.counts.now;
    row.pid = text_at(event, "process.pid");
    row.name = text_at(event, "process.name");
    row.user = text_at(event, "user.name");
    if (row.user.empty()) row.user = text_at(event, "user.id");
    if (auto command = text_at(event, "process.command_line"); !command.empty()) row.command = std::move(command);
    if (action == "exit") row.ended = true;
  }

  /// The frame, and the beginning of the next interval. `style`: with bold, dim and red.
  std::string frame(double seconds, unsigned rows, unsigned columns, bool style) {
    const auto styled = [&](const char* code, const std::string& part) {
      return style ? "\033[" + std::string(code) + "m" + part + "\033[0m" : part;
    };
    std::string out;
    char text[256];
    std::uint64_t now = 0;
    for (const auto& [name, counts] : actions_) now += counts.now;
    std::snprintf(text, sizeof text, "   %llu events   %.0f a second   processes %zu   ",
                  static_cast<unsigned long long>(total_), static_cast<double>(now) / seconds, processes_.size());
    out += styled(bold, "nightjar top") + text;
    // A loss is what must not be overlooked.
    std::snprintf(text, sizeof text, "lost %llu   missing %llu", static_cast<unsigned long long>(lost_),
                  static_cast<unsigned long long>(sequence_.missing()));
    out += (lost_ + sequence_.missing() != 0 ? styled(red, text) : text) + std::string("\n");
    std::vector<std::pair<std::string, Counts>> busy(actions_.begin(), actions_.end());
    std::sort(busy.begin(), busy.end(), [](const auto& a, const auto& b) {
      return a.second.now != b.second.now ? a.second.now > b.second.now : a.second.all() > b.second.all();
    });
    std::string line;
    for (const auto& [name, counts] : busy) {
      if (name.starts_with("sensor_")) continue;
      std::snprintf(text, sizeof text, "%s %.0f/s  ", printable(name, 24).c_str(),
                    static_cast<double>(counts.now) / seconds);
      if (line.size() + strlen(text) > columns) break;
      line += text;
    }
    out += line + "\n\n";
    std::snprintf(text, sizeof text, "%8s %-12s %10s %10s  %-16s %s\n", "PID", "USER", "EVENTS/S", "EVENTS", "NAME",
                  "COMMAND");
    out += styled(bold, text);
    std::vector<const Row*> order;
    for (const auto& [entity, row] : processes_) order.push_back(&row);
    const std::size_t shown = std::min<std::size_t>(order.size(), rows > 6 ? rows - 5 : 1);
    std::partial_sort(
        order.begin(), order.begin() + static_cast<std::ptrdiff_t>(shown), order.end(), [](const Row* a, const Row* b) {
          return a->counts.now != b->counts.now ? a->counts.now > b->counts.now : a->counts.all() > b->counts.all();
        });
    const std::size_t room = columns > 64 ? columns - 64 : 8;
    for (std::size_t i = 0; i < shown; ++i) {
      const Row& row = *order[i];
      std::snprintf(text, sizeof text, "%8s %-12s %10.0f %10llu  %-16s ", printable(row.pid, 8).c_str(),
                    printable(row.user, 12).c_str(), static_cast<double>(row.counts.now) / seconds,
                    static_cast<unsigned long long>(row.counts.all()), printable(row.name, 16).c_str());
      const std::string shown_row = text + printable(row.ended ? "(ended) " + row.command : row.command, room);
      out += (row.ended ? styled(dim, shown_row) : shown_row) + "\n";
    }
    for (auto& [name, counts] : actions_) counts.next();
    for (auto& [entity, row] : processes_) row.counts.next();
    return out;
  }

 private:
  struct Counts {
    std::uint64_t now = 0, before = 0;
    [[nodiscard]] std::uint64_t all() const { return now + before; }
    void next() { before += std::exchange(now, 0); }
  };
  struct Row {
    std::string pid, name, user, command;
    Counts counts;
    bool ended = false;
  };
  std::map<std::string, Counts> actions_;
  std::unordered_map<std::string, Row> processes_;
  std::uint64_t total_ = 0, lost_ = 0, skipped_ = 0;
  SequenceCheck sequence_;
};

/// `nightjar run` writing into a pipe.
struct EventPipe {
  UniqueFd events;
  pid_t sensor = 0;
};

bool open_source(const Options& options, EventPipe& source) {
  if (!options.inputs.empty()) {
    const std::string& path = options.inputs.front();
    source.events.reset(path == "-" ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                    : open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (source.events.valid()) return true;
    std::fprintf(stderr, "nightjar: cannot read the events %s: %s\n", path.c_str(), strerror(errno));
    return false;
  }
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return false;
  source.events.reset(ends[0]);
  const UniqueFd write_end(ends[1]);
  source.sensor = fork();
  if (source.sensor == 0) {
    dup2(write_end.get(), STDOUT_FILENO);
    execl("/proc/self/exe", "nightjar", "run", static_cast<char*>(nullptr));
    _exit(exit_failed);
  }
  return source.sensor > 0;
}

}  // namespace

int top(const Options& options) {
  EventPipe source;
  if (!open_source(options, source)) return exit_failed;
  struct sigaction action{};
  action.sa_handler = [](int) { interrupted = 1; };
  for (const int number : {SIGINT, SIGTERM}) sigaction(number, &action, nullptr);
  const bool live = isatty(STDOUT_FILENO) != 0;
  winsize size{};
  Board board;
  std::string rest;
  auto last = Clock::now();
  const auto draw = [&](bool final) {
    const double seconds = std::max(1e-3, std::chrono::duration<double>(Clock::now() - last).count());
    last = Clock::now();
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0) size = {50, 120, 0, 0};
    std::string frame = board.frame(seconds, size.ws_row, size.ws_col, live);
    if (live) {
      // Over the one before, each line's rest and what is below cleared: the screen never flickers empty.
      for (std::size_t at = 0; (at = frame.find('\n', at)) != std::string::npos; at += 4) frame.insert(at, "\033[K");
      frame = "\033[H" + frame + "\033[J";
    }
    if (live || final) std::fputs(frame.c_str(), stdout);
    std::fflush(stdout);
  };
  char bytes[65536];
  while (interrupted == 0) {
    pollfd wait{source.events.get(), POLLIN, 0};
    const int ready = poll(&wait, 1, 200);
    if (ready > 0) {
      const ssize_t n = read(source.events.get(), bytes, sizeof bytes);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) break;
      rest.append(bytes, static_cast<std::size_t>(n));
      std::size_t start = 0;
      for (std::size_t end = 0; (end = rest.find('\n', start)) != std::string::npos; start = end + 1)
        board.take(std::string_view(rest).substr(start, end - start));
      rest.erase(0, start);
      if (rest.size() > longest_line) rest.clear();
    }
    if (live && Clock::now() - last >= std::chrono::seconds(1)) draw(false);
  }
  if (!rest.empty()) board.take(rest);
  draw(true);
  int status = 0;
  if (source.sensor > 0) {
    kill(source.sensor, SIGTERM);
    source.events.reset();
    waitpid(source.sensor, &status, 0);
    if (interrupted == 0 && WIFEXITED(status)) return WEXITSTATUS(status);  // the sensor said why
  }
  return exit_done;
}

}  // namespace nightjar
