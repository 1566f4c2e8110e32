// SPDX-License-Identifier: Apache-2.0
// From records to lines: joins the parts of an event, keeps the process table, encodes.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/dns_streams.hpp"
#include "agent/executable_facts.hpp"
#include "agent/filter.hpp"
#include "agent/host.hpp"
#include "agent/image.hpp"
#include "agent/names.hpp"
#include "agent/process_table.hpp"
#include "agent/scalar_rules.hpp"
#include "agent/scripts.hpp"
#include "output/batch.hpp"
#include "wire/encoder.hpp"
#include "wire/memory.h"
#include "wire/record.hpp"

namespace nightjar {

struct DnsMessage;

class Pipeline {
 public:
  struct Settings {
    std::set<Kind> wanted;
    Format format = Format::ecs;
    bool both_formats = false;  ///< take_other() has the lines of the other one
    std::vector<std::string> environment;
    bool sees_scripts = false;
    std::map<Kind, std::string> hooks;     ///< JSON
    std::uint64_t sequence_base = 0;       ///< of the agent's own events
    std::shared_ptr<const Filter> filter;  ///< null: everything passes
    bool user_names = true;
    ScalarRules* scalar_rules = nullptr;           ///< null: there are none
    const ExecutableFacts* executables = nullptr;  ///< null: nothing is asked of them
    /// Starts of processes are told apart as finely as this: as /proc has them, where the kernel does not tell of those
    /// that run already.
    std::uint64_t start_step_ns = 1;
  };

  Pipeline(const Host& host, Settings settings);

  /// One record from the kernel side; appends the lines of what it completes to `out`. A record that is none of this
  /// build's is counted (malformed()).
  void take(Bytes bytes, std::string& out);

  /// The same for a record whose event was delivered already, by an agent before this one: it is only to be known.
  void replay(Bytes bytes, std::string& out);
  /// Goes on counting where another pipeline was.
  void resume(std::uint64_t sequence, std::span<const std::uint64_t> sent_by_kind);
  [[nodiscard]] std::uint64_t sequence() const { return sequence_; }

  /// The same for a process that was there before the start. `arguments` and `environment` come from procfs; `shown` is
  /// false for one that is only to be known (the agent itself).
  void take_snapshot(Bytes record, std::string_view arguments, std::string_view environment, bool shown,
                     std::string& out);

  [[nodiscard]] ProcessKey key_of(const wire_task& task) const { return {task.pid, known_start(task.start_ns)}; }
  [[nodiscard]] bool knows_exact_starts() const { return settings_.start_step_ns == 1; }

  /// An event of the agent's own. Facts beyond the common ones are in `facts`, which must be a fresh object.
  void own_event(Kind kind, Facts& facts, std::string& out);

  /// Says who the agent is (a snapshot record); until then its own events carry no process.
  void set_self(Bytes record);

  /// Other settings from here on; the rest needs a new pipeline.
  void adopt(std::shared_ptr<const Filter> filter, std::vector<std::string> environment, bool user_names);
  /// Now and then: reads the names of users and groups again when they changed.
  void refresh_names() { names_.refresh(); }

  /// Events that the rules held back, by rule.
  [[nodiscard]] const std::map<std::string, std::uint64_t>& suppressed() const { return suppressed_; }
  /// What the lines are that were appended since the last call: `out` must have been the same string, empty at first.
  std::vector<Line> take_lines() { return std::exchange(lines_, {}); }
  /// The same events in the other format; empty unless both_formats.
  Batch take_other() { return std::exchange(other_, {}); }

  [[nodiscard]] std::uint64_t sent(Kind kind) const;
  [[nodiscard]] std::uint64_t sent_in_all() const { return sent_in_all_; }  ///< without the agent's own
  [[nodiscard]] std::uint64_t malformed() const { return malformed_; }
  [[nodiscard]] std::uint64_t malformed_dns() const { return malformed_dns_ + dns_streams_.malformed(); }
  /// Messages found in TCP connections: the kernel side counts those of UDP only.
  [[nodiscard]] std::uint64_t dns_over_tcp(unsigned wire_kind) const {
    return wire_kind == WIRE_DNS_QUERY ? dns_over_tcp_[0] : wire_kind == WIRE_DNS_ANSWER ? dns_over_tcp_[1] : 0;
  }
  [[nodiscard]] const ProcessTable& processes() const { return processes_; }
  [[nodiscard]] const Host& host() const { return host_; }

 private:
  void on_fork(Bytes record, std::string& out);
  void on_exec(Bytes record, std::string& out);
  void on_exit(Bytes record, std::string& out);
  void on_failed_exec(Bytes record, std::string& out);
  void on_file(Bytes record, std::string& out);
  void on_piece(Bytes record);
  void on_script(Bytes record);
  void on_cgroup(Bytes record);
  void on_path_part(Bytes record);
  void on_namespace_change(Kind kind, Bytes record, std::string& out);
  void on_mount(Kind kind, Bytes record, std::string& out);
  void on_targeted(Kind kind, Bytes record, std::string& out);
  void on_executable_memory(Kind kind, Bytes record, std::string& out);
  void on_credentials(Kind kind, Bytes record, std::string& out);
  void on_kernel_file(Kind kind, Bytes record, std::string& out);
  void on_sysctl(Bytes record, std::string& out);
  /// An event whose record says it all.
  void on_plain(Kind kind, Bytes record, std::string& out);
  void on_connection(Bytes record, std::string& out);
  void on_flow(Bytes record, std::string& out);
  /// Of both ends: what is not known of them, or the flow's name.
  void flow_facts(const net_connection& flow);
  void on_endpoint(Bytes record, std::string& out);
  void on_unix(Bytes record, std::string& out);
  void on_dns(Bytes record, std::string& out);
  void on_dns_part(Bytes record, std::string& out);
  void tell_dns(Bytes record, std::string_view text, bool whole, std::string& out);
  void dns_facts(const DnsMessage& message, bool answer);

  /// An exec record or a snapshot, once its argv and environment are there.
  void tell_image(Kind kind, Bytes record, std::string_view args, std::string_view environment, bool shown,
                  std::string& out);
  void tell_scripts(const process_exec& exec, Bytes record, std::string_view args);
  void tell_executable(const process_exec& exec, Bytes record);
  std::string take_block(const process_exec& exec, Bytes record);

  /// The facts that every event has.
  void common_facts(const wire_header& header, const wire_task& task, const Process* process);
  /// The same for a record that begins with header and task: the acting process.
  void acting_facts(Bytes record);
  void target_facts(const wire_target& target);
  void image_facts(const Image& image);
  void finish(Kind kind, Bytes record, std::string& out);
  void missing_facts(std::uint64_t missing);
  void forget_event();

  class CurrentEvent;
  using SubjectLeaves = std::array<std::vector<Leaf>, subject_count>;
  static std::vector<SubjectLeaves> subject_leaves();  // in the order of all_events()
  /// Asks the rules; counts what they hold back.
  bool passes(const EventInfo& event, Bytes record);
  /// Tells the kernel side whom an event is about, for the next one.
  void teach_rules(const EventInfo& event, Bytes record);
  /// `exact_start`: false when /proc told of it.
  Process& remember(const wire_task& task, std::shared_ptr<const Image> image, bool exact_start = true);
  [[nodiscard]] std::uint64_t known_start(std::uint64_t start_ns) const {
    return start_ns - start_ns % settings_.start_step_ns;
  }
  [[nodiscard]] bool wanted(Kind kind) const { return wanted_[static_cast<std::size_t>(kind)]; }

  /// A string that lives until the event is encoded.
  std::string& scratch();
  std::string_view entity_id(std::uint32_t pid, std::uint64_t start_ns);
  std::string_view time_fact(std::uint64_t boot_ns);
  template <class Integer>
  std::string_view number_fact(Integer value) {
    std::string& text = scratch();
    json::number(text, value);
    return text;
  }
  std::string_view text_fact(Fact fact, std::string_view bytes);
  static std::string namespaces_json(const wire_namespaces& ns, std::uint32_t pid_for_children = 0);

  const Host& host_;
  Settings settings_;
  std::bitset<kind_count> wanted_;             // as in the settings, by kind, as is the next
  std::array<std::string, kind_count> hooks_;  // empty: it has none
  Encoder encoder_;
  std::optional<Encoder> other_encoder_;
  ProcessTable processes_;
  Names names_;
  std::vector<SubjectLeaves> subject_leaves_ = subject_leaves();
  std::map<std::string, std::uint64_t> suppressed_;
  Facts facts_;
  std::deque<std::string> scratch_;  // a deque: what was handed out stays where it is
  std::size_t scratch_used_ = 0;
  std::vector<json::Named> truncated_;  // field name -> full size
  std::uint64_t more_missing_ = 0;      // enum wire_missing and MissingBit, found out here

  struct Pieces {
    std::uint32_t pid = 0;
    std::string bytes;
  };
  std::unordered_map<unsigned, Pieces> pieces_;                     // by CPU
  std::unordered_map<std::uint32_t, std::vector<Script>> scripts_;  // by thread
  /// What was told of a call before it was done.
  struct PathParts {
    std::array<std::string, 4> path;  // by enum wire_part
    std::string source, fstype;
    std::uint32_t incomplete = 0;
  };
  PathParts take_parts(const wire_task& task, Kind kind);
  std::unordered_map<std::uint64_t, PathParts> parts_;  // by thread and kind
  struct Cgroup {
    std::string path, id, runtime, image, name, pod;  // JSON; empty for none
    std::uint32_t rules_generation = 0;
  };
  using Cgroups = std::unordered_map<std::uint64_t, Cgroup>;
  /// Null: it was not told, or long ago.
  Cgroup* find_cgroup(std::uint64_t id);
  Cgroups cgroups_, older_cgroups_;

  std::vector<Line> lines_;
  Batch other_;
  std::set<std::string, std::less<>> rule_ids_;  // of all configurations so far: lines refer to them
  std::string_view rule_id_;                     // that let the current event through
  std::vector<std::byte> self_;                  // header and task of the agent
  bool self_known_ = false;                      // from the kernel side
  bool replaying_ = false;
  std::uint64_t sequence_ = 0;
  std::uint64_t own_events_ = 0;
  std::uint64_t sent_in_all_ = 0;
  std::uint64_t malformed_ = 0;
  std::uint64_t malformed_dns_ = 0;
  DnsStreams dns_streams_;
  std::array<std::uint64_t, 2> dns_over_tcp_{};  // queries, answers
  std::array<std::uint64_t, kind_count> sent_{};
};

}  // namespace nightjar
