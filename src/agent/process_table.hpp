// SPDX-License-Identifier: Apache-2.0
// What is known of each process: filled by exec, fork and snapshot records, emptied by exit records, asked for every
// event.
#pragma once

#include <compare>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "wire/base.h"
#include "wire/encoder.hpp"

namespace nightjar {

/// What a process runs, shared by all processes that inherited it; never changed once made. Text is finished JSON.
struct Image {
  std::string executable_path;  ///< as bytes; empty: unknown
  std::string executable;
  std::string args;                 ///< for events other than the exec: at most args_kept bytes of argv
  std::string command_line;         ///< likewise
  std::uint64_t args_cut_from = 0;  ///< full size when args was cut, else 0
  std::vector<json::Named> raw;
  bool operator==(const Image&) const = default;
};

struct ProcessKey {
  std::uint32_t pid = 0;
  std::uint64_t start_ns = 0;  ///< boot clock, as exactly as the pipeline knows starts
  auto operator<=>(const ProcessKey&) const = default;
};

struct Process {
  ProcessKey key;
  ProcessKey parent;  ///< as of its latest fork, exec or snapshot
  std::shared_ptr<const Image> image;
  std::string entity_id;               ///< JSON
  std::string start;                   ///< JSON
  std::string name;                    ///< JSON of the kernel's name, from the latest record
  std::uint64_t exact_start_ns = 0;    ///< 0: not known yet, /proc told of it
  std::uint64_t exec_ns = 0;           ///< boot clock of its last exec; 0: none was seen
  std::uint32_t rules_generation = 0;  ///< of the kernel side's rules that know it
};

class ProcessTable {
 public:
  /// The table never holds more than `limit` processes: beyond, the ones that ended longest ago go first, then the
  /// oldest; the latter are counted in forgotten().
  explicit ProcessTable(std::size_t limit) : limit_(limit) {}

  /// Null when not known.
  Process* find(ProcessKey key);
  /// The live process of that pid, whenever it started.
  Process* find_live(std::uint32_t pid);
  Process& put(Process process);
  /// The parent of a process, that one's parent, and so on, as JSON: an array of entity_id, pid and executable, nearest
  /// first, at most `limit`, as far as they are in the table. Empty without any.
  [[nodiscard]] std::string ancestors(const Process& process, std::size_t limit = 8);
  /// Kept a while: events that were under way may still ask for it, and so may its children's.
  void ended(ProcessKey key);

  [[nodiscard]] std::size_t size() const { return processes_.size(); }
  [[nodiscard]] std::uint64_t forgotten() const { return forgotten_; }

 private:
  struct Hash {
    std::size_t operator()(const ProcessKey& key) const {
      return static_cast<std::size_t>((key.start_ns ^ (std::uint64_t{key.pid} << 40)) * 0x9e3779b97f4a7c15ULL);
    }
  };
  void make_room();

  std::size_t limit_;
  std::unordered_map<ProcessKey, Process, Hash> processes_;
  std::unordered_map<std::uint32_t, ProcessKey> live_;
  std::deque<ProcessKey> ended_;
  std::uint64_t forgotten_ = 0;
};

}  // namespace nightjar
