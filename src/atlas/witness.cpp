// SPDX-License-Identifier: Apache-2.0
#include "atlas/witness.hpp"

#include <algorithm>

#include "atlas/puppet.hpp"
#include "atlas/puppet_facts.hpp"
#include "nightjar/program_group.hpp"
#include "wire/prove.h"

// prover_object.S
extern "C" {
extern const std::byte nightjar_prover_begin[];  // NOLINT(modernize-avoid-c-arrays): a linker symbol
extern const std::byte nightjar_prover_end[];    // NOLINT(modernize-avoid-c-arrays)
}

namespace nightjar::atlas {

static_assert(bytes_at_once == PROVE_BYTES);

struct Witness::State {
  Puppet puppet;
  LoadedGroup programs;
  Map requests, turn;
  Knowledge knowledge;

  /// Puts the questions where the program finds them, for that thread only.
  Result<> ask(std::span<const Address> addresses, pid_t thread, prove_start start) const {
    for (std::uint32_t index = 0; index < addresses.size(); ++index) {
      prove_request request{};
      request.status = PROVE_ASKED;
      const Address& address = addresses[index];
      if (address.pointers.size() > PROVE_HOPS) return Error(errc::invalid, "a chain with too many steps");
      request.hops = static_cast<std::uint32_t>(address.pointers.size());
      std::copy(address.pointers.begin(), address.pointers.end(), request.offset);
      request.last = address.last;
      NIGHTJAR_CHECK(requests.set(index, request));
    }
    return turn.set(std::uint32_t{0},
                    prove_turn{.thread = static_cast<std::uint32_t>(thread), .next = 0, .start = start});
  }

  Result<std::vector<Found>> answers(std::size_t count) const {
    std::vector<Found> found;
    for (std::uint32_t index = 0; index < count; ++index) {
      const auto request = NIGHTJAR_TRY((requests.get<std::uint32_t, prove_request>(index)));
      if (request.status == PROVE_ASKED)
        return Error(errc::unsupported, "the program that reads for the proof did not run");
      found.emplace_back();
      if (request.status == PROVE_READ)
        found.back().emplace(reinterpret_cast<const char*>(request.bytes), sizeof request.bytes);
    }
    return found;
  }
};

Witness::Witness(std::unique_ptr<State> state) : state_(std::move(state)) {}
Witness::Witness(Witness&&) noexcept = default;
Witness::~Witness() = default;

Result<Witness> Witness::start() {
  const auto blueprint =
      ProgramBlueprint::from_bytes(std::span(nightjar_prover_begin, nightjar_prover_end), "prove.bpf.o");
  const std::vector<ProgramVersion> versions = {
      ProgramVersion("raw_tp", {Program("prove__raw_tp"), Program("prove_exec__raw_tp").optional()}),
      ProgramVersion("tracepoint", {Program("prove__tracepoint")}),
  };
  GroupOptions options;
  options.name = "proof";
  auto programs = NIGHTJAR_TRY(ProgramGroup(std::move(options)).load(blueprint, versions));
  auto requests = NIGHTJAR_TRY(programs.map("requests"));
  auto turn = NIGHTJAR_TRY(programs.map("turn"));
  auto puppet = NIGHTJAR_TRY(Puppet::start());
  Knowledge knowledge = knowledge_of(puppet);
  return Witness(std::unique_ptr<State>(
      new State{std::move(puppet), std::move(programs), std::move(requests), std::move(turn), std::move(knowledge)}));
}

const Knowledge& Witness::knowledge() const {
  return state_->knowledge;
}

Result<std::vector<Found>> Witness::read(Start start, std::span<const Address> addresses) {
  std::vector<Found> all;
  if (start == Start::exec) {
    const LoadedProgram* program = state_->programs.program("prove_exec__raw_tp");
    if (program == nullptr || program->hook.empty()) return std::vector<Found>(addresses.size());
    for (const Address& address : addresses) {
      Puppet::Exec exec = NIGHTJAR_TRY(state_->puppet.prepare_exec());
      const pid_t pid = exec.pid;
      const auto asked = state_->ask(std::span(&address, 1), pid, PROVE_EXEC);
      Puppet::let(std::move(exec));
      NIGHTJAR_CHECK(asked);
      all.push_back(std::move(NIGHTJAR_TRY(state_->answers(1)).front()));
    }
    return all;
  }
  for (std::size_t done = 0; done < addresses.size();) {
    const auto part = addresses.subspan(done, std::min<std::size_t>(addresses.size() - done, PROVE_REQUESTS));
    NIGHTJAR_CHECK(state_->ask(part, state_->puppet.thread, PROVE_THREAD));
    NIGHTJAR_CHECK(state_->puppet.act(static_cast<std::uint32_t>(part.size())));
    for (Found& found : NIGHTJAR_TRY(state_->answers(part.size()))) all.push_back(std::move(found));
    done += part.size();
  }
  return all;
}

}  // namespace nightjar::atlas
