// SPDX-License-Identifier: Apache-2.0
#include "agent/pins.hpp"

#include <cerrno>
#include <charconv>

#include <fcntl.h>
#include <unistd.h>

#include <sys/file.h>
#include <sys/stat.h>

#include "agent/cgroup_scope.hpp"
#include "agent/losses.hpp"
#include "agent/programs.hpp"
#include "atlas/digest.hpp"
#include "atlas/elf_file.hpp"
#include "loader/pins.hpp"
#include "nightjar/program_group.hpp"

namespace nightjar {
namespace {

constexpr std::string_view state_file = "agent";

/// Settings that the kernel side was made with; the rest may change from one agent to the next.
std::string kernel_settings(const SensorOptions& options) {
  std::string text = "scope=" + options.scope.text;
  if (options.scope.what == Scope::What::cgroup) {
    // A directory of the same name may be another cgroup by now.
    if (const auto cgroup = find_cgroup(options.scope.path)) text += "#" + std::to_string(cgroup->id);
  }
  text += " tier=" + options.tier + " buffer=" + std::to_string(options.buffer_bytes) +
          " rate_limit=" + std::to_string(options.rate_limit) +
          " environment=" + (options.environment.empty() ? "no" : "yes") + " btf=" + options.btf_path +
          " atlas=" + options.atlas_path + " without=";
  for (const Feature feature : options.without) text += std::string(to_string(feature)) + ",";
  text += " events=";
  for (const Kind kind : options.wanted) text += std::to_string(static_cast<unsigned>(kind)) + ",";
  return text;
}

std::string identity_of(const SensorOptions& options, const ProgramBlueprint& blueprint) {
  return NIGHTJAR_VERSION " " + atlas::to_hex(atlas::sha256(blueprint.bytes())) + "\n" + kernel_settings(options) +
         "\n";
}

/// The first two lines.
std::string identity_in(const std::string& text) {
  const auto first = text.find('\n');
  const auto second = first == std::string::npos ? first : text.find('\n', first + 1);
  return second == std::string::npos ? "" : text.substr(0, second + 1);
}

}  // namespace

Result<std::unique_ptr<Pins>> Pins::open(const SensorOptions& options, const LogSink& log) {
  std::unique_ptr<Pins> self(new Pins);
  self->directory_ = options.pin;
  while (self->directory_.size() > 1 && self->directory_.ends_with('/')) self->directory_.pop_back();
  const std::string name = "--pin " + self->directory_;
  if (auto made = pins::make_directory(self->directory_); !made) return std::move(made).error().in(name);
  UniqueFd lock(::open(self->directory_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status{};
  if (!lock.valid() || fstat(lock.get(), &status) != 0) return Error::from_errno(name);
  if ((status.st_uid != 0 && status.st_uid != geteuid()) || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return Error(errc::denied, name + ": other users can write it: chown it to root, chmod go-w");
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return Error::from_errno(name);
    return Error(errc::busy, name + ": another agent uses it: stop that, or name another directory");
  }
  self->lock_ = std::move(lock);
  self->identity_ = identity_of(options, NIGHTJAR_TRY(probes_blueprint()));
  NIGHTJAR_CHECK(self->look());
  if (self->state_) {
    for (const std::string& what : self->state_->recover()) {
      if (log) log(LogLevel::warning, what);
    }
  }
  return self;
}

Pins::~Pins() {
  if (lock_.valid()) (void)rmdir(directory_.c_str());  // only an empty one can be removed
}

Result<> Pins::look() {
  if (NIGHTJAR_TRY(pins::list(directory_)).empty()) return {};
  auto state = PinState::open(directory_ + "/" + std::string(state_file));
  if (!state) {
    if (state.error().code() == errc::denied) return std::move(state).error();
    replaced_ = state.error().code() == errc::not_found ? "an agent was killed while it began" : state.error().what();
    return {};
  }
  state_.emplace(std::move(*state));
  const std::string theirs = identity_in(state_->text());
  const std::size_t gone = missing();
  if (gone != 0) {
    // Its programs would see nothing, and nobody would know.
    replaced_ = std::to_string(gone) + " of its " + std::to_string(recorded_count()) + " pins were taken away";
  } else if (theirs == identity_) {
    adoptable_ = true;
  } else {
    const bool same_build = theirs.substr(0, theirs.find('\n')) == identity_.substr(0, identity_.find('\n'));
    replaced_ = same_build ? "it was made with other settings" : "it was made by another version of nightjar";
  }
  return {};
}

std::size_t Pins::recorded_count() const {
  const std::string text = state_ ? state_->text() : "";
  const std::size_t line = text.find("\n" + std::string(count_line));
  std::size_t count = 0;
  if (line != std::string::npos)
    std::from_chars(text.data() + line + 1 + count_line.size(), text.data() + text.size(), count);
  return count;
}

Result<std::size_t> Pins::count() const {
  std::size_t count = 0;
  for (const std::string& name : NIGHTJAR_TRY(pins::list(directory_))) {
    // What is no directory is the state, or somebody else's.
    if (const auto in_group = pins::list(group(name))) count += in_group->size();
  }
  return count;
}

std::size_t Pins::missing() const {
  const std::size_t whole = recorded_count();
  const auto there = count();
  const std::size_t found = there ? *there : 0;
  const bool has_state = access((directory_ + "/" + std::string(state_file)).c_str(), F_OK) == 0;
  return (whole > found ? whole - found : 0) + (whole != 0 && !has_state ? 1 : 0);
}

/// What happened, and neither was lost before nor reached an output.
void Pins::count_lost() {
  if (!state_) return;
  const auto counters = Map::open_pinned(group("process") + "/" + pins::join({"map", "counters"}));
  if (!counters || counters->value_size() != sizeof(wire_counter)) return;
  // Another build may know more or fewer kinds: numbers are never reused.
  const std::uint32_t cpus = possible_cpus();
  const std::uint32_t kinds = counters->max_entries() / cpus;
  for (const EventInfo& event : all_events()) {
    const auto kind = static_cast<std::uint32_t>(event.kind);
    if (kind >= kinds || event.kind == Kind::process_snapshot) continue;
    std::uint64_t sent = 0;
    for (std::uint32_t cpu = 0; cpu < cpus; ++cpu) {
      if (const auto cell = counters->get<std::uint32_t, wire_counter>(cpu * kinds + kind))
        sent += cell->happened - cell->lost;
    }
    const std::uint64_t taken = state_->numbers().taken[kind];
    if (sent > taken) lost_.emplace_back(event.kind, sent - taken);
  }
}

Result<> Pins::replace(const LogSink& log) {
  if (replaced_.empty()) return {};
  count_lost();
  if (log)
    log(LogLevel::warning,
        "--pin " + directory_ + ": what is pinned there cannot be taken over and is replaced: " + replaced_);
  return remove();
}

Result<> Pins::begin(const PinState::Shape& shape) {
  state_.emplace(NIGHTJAR_TRY(PinState::create(shape)));
  return {};
}

Result<> Pins::finish() {
  return state_->map().pin(directory_ + "/" + std::string(state_file));
}

Result<> Pins::remove() {
  adoptable_ = false;
  const std::string state = directory_ + "/" + std::string(state_file);
  // First: without it, what is left is known not to be whole.
  if (unlink(state.c_str()) != 0 && errno != ENOENT) return Error::from_errno("unpin " + state);
  for (const std::string& name : NIGHTJAR_TRY(pins::list(directory_))) NIGHTJAR_CHECK(LoadedGroup::unpin(group(name)));
  return {};
}

}  // namespace nightjar
