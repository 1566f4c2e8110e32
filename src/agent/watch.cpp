// SPDX-License-Identifier: Apache-2.0
// watch and run: the two ways to deliver events.
#include <algorithm>
#include <cstdio>
#include <memory>

#include <signal.h>
#include <unistd.h>

#include <sys/signalfd.h>

#include "agent/child.hpp"
#include "agent/collector.hpp"
#include "agent/commands.hpp"
#include "agent/config.hpp"
#include "agent/filter.hpp"
#include "agent/harden.hpp"
#include "agent/scope_tree.hpp"
#include "agent/service.hpp"
#include "agent/settings.hpp"

namespace nightjar {
namespace {

/// How long a watch goes on after it passed a signal on to COMMAND, for the tree to end.
constexpr std::uint64_t grace_ns = 5'000'000'000;

/// SIGINT, SIGTERM and SIGCHLD as a descriptor.
class Signals {
 public:
  static Result<Signals> block() {
    Signals signals;
    sigset_t set;
    sigemptyset(&set);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&set, number);
    sigprocmask(SIG_BLOCK, &set, &signals.before_);
    signal(SIGPIPE, SIG_IGN);  // a reader that went away is an error of write(2), with a message
    signals.fd_.reset(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals.fd_.valid()) return Error::from_errno("signalfd");
    return signals;
  }

  /// The last signal that asks to stop, 0 if none came. With `hangup` set, SIGHUP sets that in place.
  int stop_asked(bool* hangup = nullptr) {
    int asked = 0;
    signalfd_siginfo info;
    while (read(fd_.get(), &info, sizeof info) == sizeof info) {
      if (info.ssi_signo == SIGHUP && hangup != nullptr) {
        *hangup = true;
      } else if (info.ssi_signo != SIGCHLD) {
        asked = static_cast<int>(info.ssi_signo);
      }
    }
    return asked;
  }
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const sigset_t& before() const { return before_; }

 private:
  UniqueFd fd_;
  sigset_t before_{};
};

LogSink log_to_stderr(bool verbose) {
  return [verbose](LogLevel level, std::string_view text) {
    if (level == LogLevel::debug || (level == LogLevel::info && !verbose)) return;
    std::fprintf(stderr, "nightjar: %.*s\n", static_cast<int>(text.size()), text.data());
  };
}

struct Session {
  Host host = Host::read();
  std::unique_ptr<Collector> collector;
};

Result<Outputs> open_outputs(const SensorOptions& options, const Host& host, std::shared_ptr<WriteJournal> journal) {
  const auto select = [](const std::string& list) -> Result<std::set<Kind>> {
    SensorOptions selected;
    NIGHTJAR_CHECK(select_events(split_list(list), selected, "events="));
    return selected.wanted;
  };
  const auto rules = [&](const std::string& list) -> Result<std::set<std::string, std::less<>>> {
    std::set<std::string, std::less<>> ids;
    for (std::string& id : split_list(list)) {
      const bool known = options.filter && std::ranges::any_of(options.filter->rules, [&](const Rule& rule) {
                           return rule.keep && rule.id == id;
                         });
      if (!known)
        return Error(errc::invalid,
                     "rules=" + list + ": no rule of the configuration that keeps has the id '" + id + "'");
      ids.insert(std::move(id));
    }
    return ids;
  };
  return Outputs::open(options.outputs, {host.hostname, log_to_stderr(options.verbose), std::move(journal)},
                       {select, rules, options.format});
}

Result<> open_session(Session& session, const SensorOptions& options) {
  const LogSink log = log_to_stderr(options.verbose);
  // Before the outputs: a file that a killed agent wrote is cut back to its last whole event.
  std::unique_ptr<Pins> pins;
  if (!options.pin.empty()) pins = NIGHTJAR_TRY(Pins::open(options, log));
  Outputs outputs = NIGHTJAR_TRY(open_outputs(options, session.host, pins ? pins->journal() : nullptr));
  std::unique_ptr<MetricsExporter> metrics;
  if (!options.metrics.empty()) metrics = NIGHTJAR_TRY(MetricsExporter::open(options.metrics));
  auto sensor = NIGHTJAR_TRY(Sensor::start(options, log, pins.get()));
  session.collector = NIGHTJAR_TRY(Collector::start(session.host, options, std::move(sensor), std::move(outputs),
                                                    std::move(metrics), log, std::move(pins)));
  return {};
}

bool events_on_stdout(const SensorOptions& options) {
  return std::ranges::any_of(options.outputs,
                             [](const std::string& uri) { return uri == "-" || uri.starts_with("-?"); });
}

int end_session(Session& session, const SensorOptions& options, const Signals& signals, Result<> so_far) {
  // Whoever reads the outputs may be slow, and somebody who asks again to stop wants to stop.
  sigprocmask(SIG_SETMASK, &signals.before(), nullptr);
  if (so_far) so_far = session.collector->close_stream();
  if (options.summary) std::fputs(session.collector->summary().c_str(), stderr);
  return so_far ? exit_done : fail(so_far.error());
}

/// SIGHUP: the configuration as it is now, or, when something is wrong in it, what was in force before.
void take_configuration(Collector& collector, const Options& options) {
  const auto changed = reloaded_options(options);
  if (changed) {
    collector.adopt(*changed);
    std::fprintf(stderr, "nightjar: took over the configuration %s\n", options.config_path.c_str());
  } else {
    collector.refuse_configuration();
    std::fprintf(stderr, "nightjar: the configuration stays as it was: %s\n", to_string(changed.error()).c_str());
  }
}

/// No more privileges than what is left to do takes. A kernel without seccomp is no reason to see nothing.
void harden(Collector& collector, bool passes_signals) {
  const Hardening hardening{collector.needs_network(), passes_signals, !collector.sensor().uses_ring_buffer()};
  if (auto dropped = drop_privileges(hardening); !dropped)
    log_to_stderr(false)(LogLevel::warning, "privileges are kept: " + to_string(dropped.error()));
}

Result<> watch_tree(Collector& collector, Signals& signals, Child& child) {
  const Map& tree = *collector.sensor().scope_tree();
  std::uint64_t give_up_ns = 0;
  for (bool go_on = true; go_on;) {
    go_on = NIGHTJAR_TRY(collector.turn(signals.fd()));
    const int asked = signals.stop_asked();
    const bool ended = child.reap();
    if (asked != 0) {
      if (give_up_ns != 0) break;  // asked twice
      give_up_ns = boot_clock_ns() + grace_ns;
      if (!ended) kill(child.pid(), asked);
    }
    if (give_up_ns != 0 && boot_clock_ns() > give_up_ns) break;
    if (ended && NIGHTJAR_TRY(tree_is_over(tree, collector.self().pid))) break;
  }
  return {};
}

}  // namespace

int watch(const Options& options) {
  if (const auto refusal = Child::check(options.to_watch.front())) {
    std::fprintf(stderr, "nightjar: %s\n", refusal->message.c_str());
    return refusal->status;
  }
  auto signals = Signals::block();
  if (!signals) return fail(signals.error());
  Session session;
  if (auto opened = open_session(session, options.sensor); !opened) return fail(opened.error());
  Collector& collector = *session.collector;
  if (auto opened = collector.open_stream(false); !opened) return fail(opened.error());
  // What the agent forks from now on is the tree.
  if (auto begun = begin_tree(*collector.sensor().scope_tree(), collector.self()); !begun) return fail(begun.error());
  auto child = Child::start(options.to_watch, events_on_stdout(options.sensor), signals->before());
  if (!child) return fail(child.error());
  harden(collector, true);
  collector.start_outputs();
  const int status = end_session(session, options.sensor, *signals, watch_tree(collector, *signals, *child));
  if (child->exec_error() != 0)
    std::fprintf(stderr, "nightjar: %s: %s\n", options.to_watch.front().c_str(), strerror(child->exec_error()));
  if (status != exit_done) return status;
  if (!child->reap()) {
    std::fprintf(stderr, "nightjar: the watch ended before %s did: it runs on unwatched\n",
                 options.to_watch.front().c_str());
    return exit_done;
  }
  return child->status();
}

int run(const Options& options) {
  ServiceManager manager;
  auto signals = Signals::block();
  if (!signals) return fail(signals.error());
  Session session;
  if (auto opened = open_session(session, options.sensor); !opened) return fail(opened.error());
  Collector& collector = *session.collector;
  // Who takes over finds the tree as the programs kept it.
  if (options.sensor.scope.what == Scope::What::tree && !collector.sensor().is_adopted()) {
    if (auto filled = fill_tree(*collector.sensor().scope_tree(), options.sensor.scope.pid); !filled)
      return fail(filled.error());
  }
  harden(collector, false);
  collector.start_outputs();
  Result<> result = collector.open_stream(true);
  const bool reloads = !options.config_path.empty();
  if (result) manager.ready();
  while (result) {
    manager.alive(boot_clock_ns());
    bool reload = false;
    auto go_on = collector.turn(signals->fd());
    if (!go_on) {
      result = std::move(go_on).error();
    } else if (!*go_on || signals->stop_asked(reloads ? &reload : nullptr) != 0) {
      break;
    }
    if (reload) take_configuration(collector, options);
  }
  manager.stopping();
  return end_session(session, options.sensor, *signals, std::move(result));
}

int fail(const Error& error) {
  std::fprintf(stderr, "nightjar: %s\n", to_string(error).c_str());
  switch (error.code()) {
    case errc::unsupported:
    case errc::rejected:
      return exit_unsupported;
    case errc::invalid:
      return exit_usage;
    default:
      return exit_failed;
  }
}

}  // namespace nightjar
