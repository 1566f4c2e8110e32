// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "attach.hpp"
#include "group_state.hpp"
#include "nightjar/program_group.hpp"
#include "parallel_load.hpp"

namespace nightjar {

/// Loads and attaches one version, or says why not.
class VersionLoader {
 public:
  VersionLoader(const ProgramBlueprint& blueprint, const ProgramVersion& version, const GroupOptions& options,
                Features& features)
      : blueprint_(blueprint), version_(version), options_(options), features_(features) {}

  /// Creates the maps, loads the programs and fills the slots of program arrays; attaches nothing yet. What fails
  /// leaves no descriptor open.
  Result<std::unique_ptr<LoadedGroup::State>> load();
  /// The second half.
  Result<> attach(LoadedGroup::State& state);

 private:
  /// A program of the version with what the blueprint knows of it.
  struct Choice {
    const Program* wanted;
    const ProgramBlueprint::ProgramInfo* info;
    ProgramKind kind;
    std::vector<std::string> points;  ///< asked for
    std::string target;               ///< of kinds that are fixed at load time: the one that this kernel has
    bool is_absent = false;
    std::string absent_because;
    bool is_syscall = false;

    [[nodiscard]] std::string hook() const;
  };

  Result<> choose();
  Result<Choice> choose(const Program& wanted) const;
  Result<> check_needs();
  Result<ObjectHandle> open();
  Result<std::string> btf_path();
  /// `alone`: the only program that is to be loaded; empty: all that are not absent.
  Result<> configure(bpf_object* object, std::string_view alone);
  Result<> configure(bpf_program* program, Choice& choice) const;
  Result<> override_kind(bpf_program* program, const Choice& choice) const;
  Result<> set_target(bpf_program* program, Choice& choice) const;
  Result<ObjectHandle> load_object();
  /// An optional program goes on as absent; the error of any other comes back.
  Result<> excuse(Choice& choice, Error error);
  [[nodiscard]] std::set<std::string, std::less<>> used_maps() const;
  Choice* find(std::string_view name);
  Result<> take_maps(LoadedGroup::State& state) const;
  Result<> fill_slots(const LoadedGroup::State& state) const;
  Result<> release(LoadedGroup::State& state) const;
  [[nodiscard]] AttachRequest request_for(const Choice& choice, bpf_program* program) const;

  const ProgramBlueprint& blueprint_;
  const ProgramVersion& version_;
  const GroupOptions& options_;
  Features& features_;
  std::vector<Choice> choices_;
  std::vector<std::string> remarks_;
  std::optional<SectionHandlers> handlers_;  ///< GroupOptions::load_threads
  UniqueFd btf_file_;                        ///< GroupOptions::btf_bytes, as libbpf wants them
};

}  // namespace nightjar
