// SPDX-License-Identifier: Apache-2.0
#include "nightjar/program_group.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "group_state.hpp"
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
  const bpf_map* map = found->second;
  if (::bpf_map__fd(map) < 0) {
    return Error(errc::unsupported, "map " + text::quoted(name) + " was not created: no loaded program of version " +
                                        state_->version + " uses it");
  }
  UniqueFd copy(::fcntl(::bpf_map__fd(map), F_DUPFD_CLOEXEC, 3));
  if (!copy.valid()) return Error::from_errno("map " + text::quoted(name) + ": duplicate");
  return Map(std::string(name), std::move(copy), static_cast<std::uint32_t>(::bpf_map__type(map)),
             ::bpf_map__key_size(map), ::bpf_map__value_size(map), ::bpf_map__max_entries(map));
}

Result<std::vector<std::byte>> LoadedGroup::read_iterator(std::string_view name) const {
  const LoadedProgram* program = NIGHTJAR_TRY(present(*this, name));
  if (program->kind != ProgramKind::iterator) {
    return Error(errc::invalid, "program " + text::quoted(name) + " is no iterator");
  }
  const std::string what = "iterator " + text::quoted(name);
  const auto& attached = state_->attached[static_cast<std::size_t>(program - state_->programs.data())];
  const UniqueFd iterator(::bpf_iter_create(::bpf_link__fd(attached.links.front().get())));
  if (!iterator.valid()) return Error::from_errno(what);
  std::vector<std::byte> all;
  std::vector<std::byte> chunk(std::size_t{64} << 10);
  for (;;) {
    const ssize_t got = ::read(iterator.get(), chunk.data(), chunk.size());
    // EAGAIN: the kernel wants a break after a million objects that wrote nothing.
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) return Error::from_errno(what + ": read");
    if (got == 0) return all;
    all.insert(all.end(), chunk.begin(), chunk.begin() + got);
  }
}

Result<LoadedGroup> ProgramGroup::load(const ProgramBlueprint& blueprint, std::span<const ProgramVersion> versions) {
  if (versions.empty()) return Error(errc::invalid, options_.name + ": no version to load");
  Features own;
  Features& features = options_.features != nullptr ? *options_.features : own;
  std::vector<Error> errors;
  for (const ProgramVersion& version : versions) {
    auto loaded = VersionLoader(blueprint, version, options_, features).load();
    if (loaded) {
      (*loaded)->passed_over = std::move(errors);
      return LoadedGroup(std::move(*loaded));
    }
    errors.push_back(std::move(loaded).error().in("version " + text::quoted(version.name)));
    if (options_.log) options_.log(LogLevel::info, options_.name + ": " + errors.back().what());
  }
  const errc code = code_for_all(errors);
  const int sys = errors.back().sys();
  return Error(code, options_.name + ": no version of " + blueprint.name() + " works here", sys)
      .because(std::move(errors));
}

}  // namespace nightjar
