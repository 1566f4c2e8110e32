// SPDX-License-Identifier: Apache-2.0
// A kernel side that outlives its agent: how it is left, and how it is taken over.
#include <charconv>
#include <cstring>
#include <sstream>

#include "agent/host.hpp"
#include "agent/sensor.hpp"

namespace nightjar {
namespace {

/// Behind the two lines of the identity: "tier\tNAME", "types\tTEXT", and a line for each row of the coverage.
std::string one_line(std::string text) {
  for (char& c : text) c = c == '\n' || c == '\t' ? ' ' : c;
  return text;
}

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells(1);
  for (const char c : line) {
    if (c == '\t') {
      cells.emplace_back();
    } else {
      cells.back() += c;
    }
  }
  return cells;
}

}  // namespace

Result<> Sensor::pin(Pins& pins) {
  PinState::Shape shape;
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    if (i >= PinState::most_buffers) return Error(errc::unsupported, "--pin: more buffers than can be kept");
    shape.buffer_bytes[i] = sources_[i].capacity();
  }
  shape.told_cells = static_cast<std::uint32_t>(LossCounter::cells());
  NIGHTJAR_CHECK(pins.begin(shape));
  for (const LoadedGroup& group : groups_) {
    auto pinned = group.pin(pins.group(group_names_.at(static_cast<std::size_t>(&group - groups_.data()))));
    if (pinned) continue;
    (void)pins.remove();
    return std::move(pinned).error().in("--pin");
  }
  std::string text = pins.identity() + std::string(Pins::count_line) + std::to_string(NIGHTJAR_TRY(pins.count())) +
                     "\ntier\t" + tier_ + "\ntypes\t" + one_line(types_.told) + "\n";
  for (const Coverage& row : coverage_) {
    text += "event\t" + std::to_string(static_cast<unsigned>(row.kind)) + "\t" + row.state + "\t" + one_line(row.hook) +
            "\t" + row.tier + "\t" + one_line(row.reason) + "\n";
  }
  NIGHTJAR_CHECK(pins.state()->set_text(text));
  return pins.finish();
}

/// A cgroup's path is told once: to an agent that is gone.
Result<> Sensor::forget_cgroups() {
  for (const Map& map : shared_) {
    if (map.name() != "cgroups_seen") continue;
    const std::vector<std::byte> none(map.value_size());
    Result<> forgotten{};
    NIGHTJAR_CHECK(map.for_each_key([&](std::span<const std::byte> row) {
      forgotten = map.set(row, std::span<const std::byte>(none));
      return forgotten.has_value();
    }));
    NIGHTJAR_CHECK(std::move(forgotten));
  }
  return {};
}

Result<> Sensor::adopt(const SensorOptions& options, Pins& pins) {
  std::istringstream text(pins.state()->text());
  std::string line;
  for (int identity = 0; identity < 2; ++identity) std::getline(text, line);
  while (std::getline(text, line)) {
    const auto cells = cells_of(line);
    if (cells[0] == "tier" && cells.size() == 2) tier_ = cells[1];
    if (cells[0] == "types" && cells.size() == 2) types_.told = cells[1];
    if (cells[0] != "event" || cells.size() != 6) continue;
    unsigned kind = 0;
    std::from_chars(cells[1].data(), cells[1].data() + cells[1].size(), kind);
    coverage_.push_back({static_cast<Kind>(kind), cells[2], cells[3], cells[4], cells[5]});
    if (!cells[3].empty()) hooks_.emplace_back(coverage_.back().kind, json::quoted(cells[3]));
  }
  for (const GroupSpec& spec : program_groups()) {
    auto group = LoadedGroup::adopt(pins.group(spec.name));
    if (!group) {
      if (group.error().code() == errc::not_found && !spec.essential) continue;
      return std::move(group).error().in("--pin " + pins.directory());
    }
    keep_shared(*group);
    for (const LoadedProgram& program : group->programs()) sees_scripts_ |= program.name.starts_with("exec_script__");
    groups_.push_back(std::move(*group));
    group_names_.emplace_back(spec.name);
  }
  NIGHTJAR_CHECK(forget_cgroups());
  // The agent's own events, and those of flows, must not repeat an id of the agent before.
  sequence_base_ = first_attached_ns_ = boot_clock_ns();
  return open_maps(options, {});
}

}  // namespace nightjar
