// SPDX-License-Identifier: Apache-2.0
#include "nightjar/program_group.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <utility>

#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "group_state.hpp"
#include "memlock.hpp"
#include "text.hpp"
#include "version_loader.hpp"

namespace nightjar {
namespace {

/// denied before invalid before the rest: what the operator or the caller must mend first.
errc code_for_all(const std::vector<Error>& errors) {
  const auto any = [&](errc code) {
    return std::any_of(errors.begin(), errors.end(), [&](const Error& error) { return error.code() == code; });
  };
  if (any(errc::denied)) return errc::denied;
  if (any(errc::invalid)) return errc::invalid;
  return errc::unsupported;
}

}  // namespace

LoadedGroup::LoadedGroup(std::unique_ptr<State> state) : state_(std::move(state)) {}
LoadedGroup::LoadedGroup(LoadedGroup&&) noexcept = default;
LoadedGroup& LoadedGroup::operator=(LoadedGroup&&) noexcept = default;
LoadedGroup::~LoadedGroup() = default;

const std::string& LoadedGroup::version() const {
  return state_->version;
}
const std::vector<Error>& LoadedGroup::passed_over() const {
  return state_->passed_over;
}
const std::vector<LoadedProgram>& LoadedGroup::programs() const {
  return state_->programs;
}

const LoadedProgram* LoadedGroup::program(std::string_view name) const {
  const auto& all = state_->programs;
  const auto found = std::find_if(all.begin(), all.end(), [&](const LoadedProgram& p) { return p.name == name; });
  return found == all.end() ? nullptr : &*found;
}

namespace {

/// The program of that name, present; else why not.
Result<const LoadedProgram*> present(const LoadedGroup& group, std::string_view name) {
  const LoadedProgram* program = group.program(name);
  if (program == nullptr) {
    std::vector<std::string_view> names;
    for (const LoadedProgram& known : group.programs()) names.emplace_back(known.name);
    return Error(errc::not_found, "no program " + text::quoted(name) + " in version " + group.version() +
                                      text::did_you_mean(name, names));
  }
  if (program->fd < 0) {
    return Error(errc::unsupported, "program " + text::quoted(name) + " is absent: " + program->absent_because);
  }
  return program;
}

}  // namespace

Result<ProgramStats> LoadedGroup::stats(std::string_view name) const {
  const LoadedProgram* program = NIGHTJAR_TRY(present(*this, name));
  bpf_prog_info info{};
  std::uint32_t size = sizeof(info);
  if (::bpf_obj_get_info_by_fd(program->fd, &info, &size) != 0) {
    return Error::from_errno("program " + text::quoted(name) + ": info");
  }
  return ProgramStats{.id = info.id,
                      .instructions = static_cast<std::uint32_t>(info.xlated_prog_len / sizeof(bpf_insn)),
                      .verified_instructions = info.verified_insns,
                      .run_count = info.run_cnt,
                      .run_time_ns = info.run_time_ns,
                      .recursion_misses = info.recursion_misses};
}

Result<Map> LoadedGroup::map(std::string_view name) const {
  const auto found = state_->maps.find(name);
  if (found == state_->maps.end()) {
    std::vector<std::string_view> names;
    for (const auto& [known, map] : state_->maps) names.emplace_back(known);
    return Error(errc::not_found, "no map " + text::quoted(name) + text::did_you_mean(name, names));
  }
  if (!found->second) {
    return Error(errc::unsupported, "map " + text::quoted(name) + " was not created: no loaded program of version " +
                                        state_->version + " uses it");
  }
  return found->second->duplicate();
}

std::vector<std::string> LoadedGroup::map_names() const {
  std::vector<std::string> names;
  for (const auto& [name, map] : state_->maps) {
    if (map) names.push_back(name);
  }
  return names;
}

const std::vector<std::string>& LoadedGroup::remarks() const {
  return state_->remarks;
}

EventPoller* LoadedGroup::poller() const {
  return state_->poller ? &*state_->poller : nullptr;
}

void LoadedGroup::detach() {
  state_->detach();
}

Result<std::vector<std::byte>> LoadedGroup::read_iterator(std::string_view name) const {
  std::vector<std::byte> all;
  NIGHTJAR_CHECK(read_iterator(name, [&all](std::span<const std::byte> piece) -> Result<bool> {
    all.insert(all.end(), piece.begin(), piece.end());
    return true;
  }));
  return all;
}

Result<> LoadedGroup::read_iterator(std::string_view name,
                                    const std::function<Result<bool>(std::span<const std::byte>)>& take) const {
  const LoadedProgram* program = NIGHTJAR_TRY(present(*this, name));
  if (program->kind != ProgramKind::iterator) {
    return Error(errc::invalid, "program " + text::quoted(name) + " is no iterator");
  }
  const std::string what = "iterator " + text::quoted(name);
  const auto& attached = state_->attached[static_cast<std::size_t>(program - state_->programs.data())];
  const UniqueFd iterator(
      ::bpf_iter_create(attached.holds.empty() ? -1 : ::bpf_link__fd(attached.holds.front().link.get())));
  if (!iterator.valid()) return Error::from_errno(what);
  std::vector<std::byte> chunk(std::size_t{64} << 10);
  for (;;) {
    const ssize_t got = ::read(iterator.get(), chunk.data(), chunk.size());
    // EAGAIN: the kernel wants a break after a million objects that wrote nothing.
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) return Error::from_errno(what + ": read");
    if (got == 0 || !NIGHTJAR_TRY(take(std::span(chunk).first(static_cast<std::size_t>(got))))) return {};
  }
}

namespace {

/// Opens every buffer of the group, for load()'s `on_event`.
Result<EventPoller> start_poller(const LoadedGroup& group, const GroupOptions& options, const EventHandler& on_event,
                                 std::vector<std::string>& remarks) {
  std::vector<EventSource> sources;
  for (const std::string& name : group.map_names()) {
    const Map map = NIGHTJAR_TRY(group.map(name));
    if (map.type() != BPF_MAP_TYPE_RINGBUF && map.type() != BPF_MAP_TYPE_PERF_EVENT_ARRAY) continue;
    sources.push_back(NIGHTJAR_TRY(EventSource::open(map, options.events)));
    if (!sources.back().rounding().empty()) remarks.push_back(sources.back().rounding());
  }
  if (sources.empty())
    return Error(errc::invalid, "on_event is given, but no loaded program uses a ring or perf buffer");
  return EventPoller::start(std::move(sources), on_event, options.poller);
}

}  // namespace

Result<LoadedGroup> ProgramGroup::load_version(const ProgramBlueprint& blueprint, const ProgramVersion& version,
                                               Features& features, const EventHandler& on_event) {
  VersionLoader loader(blueprint, version, options_, features);
  LoadedGroup group(NIGHTJAR_TRY(loader.load()));
  LoadedGroup::State& state = *group.state_;
  if (options_.before_attach) NIGHTJAR_CHECK(options_.before_attach(group));
  if (on_event) state.poller.emplace(NIGHTJAR_TRY(start_poller(group, options_, on_event, state.remarks)));
  NIGHTJAR_CHECK(loader.attach(state));
  return group;
}

Result<LoadedGroup> ProgramGroup::load(const Result<ProgramBlueprint>& blueprint,
                                       std::span<const ProgramVersion> versions, const EventHandler& on_event) {
  if (!blueprint) return blueprint.error();
  if (versions.empty()) return Error(errc::invalid, options_.name + ": no version to load");
  MemlockChange memlock;
  if (options_.memlock_bytes) NIGHTJAR_CHECK(memlock.set(*options_.memlock_bytes));
  Features own;
  Features& features = options_.features != nullptr ? *options_.features : own;
  std::vector<Error> errors;
  for (std::size_t index = 0; index < versions.size(); ++index) {
    ProgramVersion version = versions[index];
    if (version.name.empty()) version.name = std::to_string(index + 1);
    auto loaded = load_version(*blueprint, version, features, on_event);
    if (loaded) {
      loaded->state_->passed_over = std::move(errors);
      memlock.keep();
      for (const std::string& remark : loaded->remarks()) {
        if (options_.log) options_.log(LogLevel::info, options_.name + ": " + remark);
      }
      return loaded;
    }
    errors.push_back(std::move(loaded).error().in("version " + text::quoted(version.name)));
    if (options_.log) options_.log(LogLevel::info, options_.name + ": " + errors.back().what());
  }
  const errc code = code_for_all(errors);
  const int sys = errors.back().sys();
  return Error(code, options_.name + ": no version of " + blueprint->name() + " works here", sys)
      .because(std::move(errors));
}

}  // namespace nightjar
