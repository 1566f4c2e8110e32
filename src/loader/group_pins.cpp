// SPDX-License-Identifier: Apache-2.0
// A group that outlives its process. Its directory holds a file for each map, "map~NAME", for each link,
// "link~VERSION~PROGRAM~HOOK~NUMBER", and for each program that only a slot of a map calls,
// "prog~VERSION~PROGRAM~HOOK": a BPF file system keeps no other text, and the names say all that a group must know.
#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "group_state.hpp"
#include "libbpf_log.hpp"
#include "pins.hpp"
#include "section_name.hpp"
#include "text.hpp"

namespace nightjar {
namespace {

constexpr std::string_view map_mark = "map";
constexpr std::string_view link_mark = "link";
constexpr std::string_view program_mark = "prog";
constexpr std::size_t map_parts = 2;
constexpr std::size_t program_parts = 4;
constexpr std::size_t link_parts = 5;

/// What is pinned so far; taken back unless all went well.
class PinsMade {
 public:
  PinsMade() = default;
  PinsMade(const PinsMade&) = delete;
  PinsMade& operator=(const PinsMade&) = delete;
  ~PinsMade() {
    for (const std::string& path : paths_) ::unlink(path.c_str());
  }
  Result<> pin(int fd, std::string path) {
    NIGHTJAR_CHECK(pins::pin(fd, path));
    paths_.push_back(std::move(path));
    return {};
  }
  void keep() { paths_.clear(); }

 private:
  std::vector<std::string> paths_;
};

/// Whether the name is one of pin()'s.
bool is_ours(const std::string& name) {
  const auto parts = pins::split(name);
  return (parts[0] == map_mark && parts.size() == map_parts) || (parts[0] == link_mark && parts.size() == link_parts) ||
         (parts[0] == program_mark && parts.size() == program_parts);
}

/// The program that a pinned link runs.
Result<UniqueFd> program_of(const bpf_link* link) {
  bpf_link_info info{};
  std::uint32_t size = sizeof(info);
  if (::bpf_obj_get_info_by_fd(::bpf_link__fd(link), &info, &size) != 0) return Error::from_errno("info of a link");
  UniqueFd program(::bpf_prog_get_fd_by_id(info.prog_id));
  if (!program.valid()) return Error::from_errno("program of a link");
  return program;
}

Result<> adopt_link(LoadedGroup::State& state, const std::string& path, const std::vector<std::string>& parts) {
  const LibbpfCapture capture;
  LinkHandle link(::bpf_link__open(path.c_str()));
  if (!link) return Error::from_errno("link pinned at " + path);
  state.version = parts[1];
  const std::string& name = parts[2];
  const auto known = std::find_if(state.programs.begin(), state.programs.end(),
                                  [&](const LoadedProgram& program) { return program.name == name; });
  auto index = static_cast<std::size_t>(known - state.programs.begin());
  if (known == state.programs.end()) {
    UniqueFd program = NIGHTJAR_TRY(program_of(link.get()));
    state.programs.push_back({.name = name,
                              .kind = read_section_name(parts[3]).kind,
                              .hook = parts[3],
                              .absent_because = {},
                              .fd = program.get()});
    state.attached.push_back({.holds = {}, .program = std::move(program)});
    index = state.programs.size() - 1;
  }
  state.attached[index].holds.push_back({.probe = {}, .socket = {}, .link = std::move(link)});
  return {};
}

/// A program that is called from others, through a slot of a map.
Result<> adopt_program(LoadedGroup::State& state, const std::string& path, const std::vector<std::string>& parts) {
  UniqueFd program = NIGHTJAR_TRY(pins::open(path));
  state.version = parts[1];
  state.programs.push_back(
      {.name = parts[2], .kind = ProgramKind::other, .hook = parts[3], .absent_because = {}, .fd = program.get()});
  state.attached.push_back({.holds = {}, .program = std::move(program)});
  return {};
}

}  // namespace

Result<> LoadedGroup::pin(const std::string& directory) const {
  NIGHTJAR_CHECK(pins::make_directory(directory));
  const auto there = NIGHTJAR_TRY(pins::list(directory));
  if (std::any_of(there.begin(), there.end(), is_ours)) {
    return Error(errc::busy, "a group is pinned in " + directory + " already: adopt it, or unpin it first");
  }
  PinsMade made;
  for (const auto& [name, map] : state_->maps) {
    if (!map) continue;
    NIGHTJAR_CHECK(made.pin(map->fd(), directory + "/" + pins::join({std::string(map_mark), name})));
  }
  for (std::size_t index = 0; index < state_->programs.size(); ++index) {
    const LoadedProgram& program = state_->programs[index];
    const auto& holds = state_->attached[index].holds;
    if (holds.empty() && program.fd >= 0 && !program.hook.empty()) {
      const std::string name = pins::join({std::string(program_mark), state_->version, program.name, program.hook});
      NIGHTJAR_CHECK(made.pin(program.fd, directory + "/" + name));
    }
    for (std::size_t number = 0; number < holds.size(); ++number) {
      if (!holds[number].link || holds[number].probe) {
        return Error(errc::unsupported, "program " + text::quoted(program.name) + " at " + program.hook +
                                            " cannot be pinned: no link of the kernel's holds it");
      }
      const std::string name =
          pins::join({std::string(link_mark), state_->version, program.name, program.hook, std::to_string(number)});
      auto pinned = made.pin(::bpf_link__fd(holds[number].link.get()), directory + "/" + name);
      if (!pinned) return std::move(pinned).error().in("program " + text::quoted(program.name));
    }
  }
  made.keep();
  return {};
}

Result<LoadedGroup> LoadedGroup::adopt(const std::string& directory) {
  auto names = NIGHTJAR_TRY(pins::list(directory));
  std::sort(names.begin(), names.end());
  auto state = std::make_unique<State>();
  for (const std::string& name : names) {
    if (!is_ours(name)) continue;
    const std::string path = directory + "/" + name;
    const auto parts = pins::split(name);
    if (parts[0] == link_mark) {
      NIGHTJAR_CHECK(adopt_link(*state, path, parts));
    } else if (parts[0] == program_mark) {
      NIGHTJAR_CHECK(adopt_program(*state, path, parts));
    } else {
      const Map map = NIGHTJAR_TRY(Map::open_pinned(path));
      state->maps[parts[1]].emplace(NIGHTJAR_TRY(map.renamed(parts[1])));
    }
  }
  if (state->programs.empty() && state->maps.empty()) {
    return Error(errc::not_found, "no group is pinned in " + directory, ENOENT);
  }
  return LoadedGroup(std::move(state));
}

Result<> LoadedGroup::unpin(const std::string& directory) {
  for (const std::string& name : NIGHTJAR_TRY(pins::list(directory))) {
    if (!is_ours(name)) continue;
    const std::string path = directory + "/" + name;
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return Error::from_errno("unpin " + path);
  }
  // Only when nothing else is in it: another's files stay, and so does the directory.
  if (::rmdir(directory.c_str()) != 0 && errno != ENOENT && errno != ENOTEMPTY && errno != EBUSY) {
    return Error::from_errno("remove " + directory);
  }
  return {};
}

}  // namespace nightjar
