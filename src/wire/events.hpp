// SPDX-License-Identifier: Apache-2.0
// The list of events and of the fields that user space adds to them. Together with the descriptions in wire/*.h this is
// the one table that the encoder, `nightjar events`, the --events option and the tests read.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "wire/describe.hpp"

namespace nightjar {

/// Numbers below 64 are wire kinds (enum wire_kind); the agent's own events follow.
enum class Kind : std::uint8_t {
  fork = 1,
  exec = 2,
  exit = 3,
  process_snapshot = 4,
  exec_failed = 5,
  unshare = 40,
  setns = 41,
  mount = 42,
  umount = 43,
  move_mount = 44,
  pivot_root = 45,
  chroot = 46,
  ptrace = 47,
  process_vm_write = 48,
  proc_mem_write = 49,
  memfd_create = 50,
  mprotect_exec = 51,
  mmap_exec = 52,
  set_credentials = 53,
  capability_set = 54,
  login_uid_set = 55,
  module_load = 56,
  module_unload = 57,
  bpf_program_load = 58,
  kexec_load = 59,
  sysctl_write = 60,
  kill = 61,
  bpf_access = 25,
  connect = 28,
  accept = 29,
  close = 30,
  listen = 31,
  bind = 32,
  udp_send = 34,
  udp_receive = 35,
  dns_query = 37,
  dns_answer = 38,
  unix_connect = 39,
  create = 9,
  open_write,
  open_read,
  modify,
  rename,
  remove,  ///< "delete": a word that C++ keeps for itself
  link,
  symlink,
  chmod,
  chown,
  truncate,
  mkdir,
  rmdir,
  mknod,
  xattr_set,
  utimes,
  sensor_started = 64,
  sensor_stopped,
  sensor_stats,
  events_lost,
  events_suppressed,
  count_,  ///< larger than any
};
inline constexpr std::size_t kind_count = static_cast<std::size_t>(Kind::count_);

struct EventInfo {
  Kind kind;
  std::string_view action;    ///< event.action, and the name in --events
  std::string_view family;    ///< "process", "sensor"
  std::string_view ecs_kind;  ///< event.kind
  std::string_view category;  ///< event.category, JSON
  std::string_view type;      ///< event.type, JSON; empty: it differs from event to event (Fact::event_type)
  std::string_view outcome;   ///< event.outcome; empty: it differs from event to event (Fact::outcome)
  bool by_default;            ///< part of its family and of "all"; else only when named
  std::span<const wire::Field> fields;
  std::string_view doc;
};

std::span<const EventInfo> all_events();
const EventInfo& event_info(Kind kind);
/// Null when there is no event of that name.
const EventInfo* find_event(std::string_view action);
/// Name of a wire kind for losses: the event's, or of the part that is not an event ("exec_data").
std::string_view wire_kind_name(unsigned wire_kind);

/// A field whose value user space works out; handed to the encoder as finished JSON.
enum class Fact : std::uint8_t {
  timestamp,
  event_id,
  event_sequence,
  entity_id,
  start,
  executable,
  args,
  command_line,
  user_id,
  user_name,
  process_user_name,
  process_group_name,
  parent_entity_id,
  parent_executable,
  parent_name,
  session_entity_id,
  group_entity_id,
  working_directory,
  env_vars,
  previous_executable,
  interactive,
  tty_minor,
  exec_filename,
  exec_interpreter,
  exec_scripts,
  ancestors,
  exec_sha256,
  package_name,
  package_version,
  package_architecture,
  package_type,
  error_message,
  errno_number,
  creator_pid,
  ns_before,
  end,
  duration,
  exit_code,
  exit_signal,
  exit_core_dumped,
  exit_user_ns,
  exit_system_ns,
  target_entity_id,
  target_executable,
  memory_addresses,
  memory_lengths,
  credentials_cause,
  kernel_file,
  sysctl_name,
  sysctl_value,
  mount_target,
  mount_put_old,
  mount_source,
  mount_fstype,
  outcome,
  event_type,
  event_start,
  net_outcome,
  community_id,
  dns_type,
  dns_id,
  dns_op_code,
  dns_response_code,
  dns_header_flags,
  dns_question_name,
  dns_question_type,
  dns_question_class,
  dns_answers,
  dns_resolved_ip,
  unix_address,
  unix_peer_executable,
  file_path,
  file_name,
  file_old_path,
  file_target,
  file_exchange,
  file_deleted,
  file_unreachable,
  file_type,
  cgroup_path,
  container_id,
  container_runtime,
  container_image,
  container_name,
  orchestrator,
  pod_kind,
  pod_uid,
  version,
  coverage,
  scope,
  transport,
  buffers,
  lost_count,
  lost_class,
  lost_cpu,
  lost_reason,
  lost_output,
  lost_first,
  lost_last,
  suppressed_count,
  suppressed_key,
  rule_id,
  rule_tags,
  stats,
  hook,
  incomplete,
  truncated,
  raw,
  count_,
};
inline constexpr std::size_t fact_count = static_cast<std::size_t>(Fact::count_);

struct FactInfo {
  Fact fact;
  std::string_view name;
  std::string_view type;    ///< of the JSON value: "keyword", "long", "date", "keyword[]", "object", "boolean"
  std::string_view events;  ///< "*", or a comma-separated list of actions
  std::string_view doc;
};

std::span<const FactInfo> all_facts();
const FactInfo& fact_info(Fact fact);
bool fact_applies(const FactInfo& fact, const EventInfo& event);

/// An end of a flow that only user space finds missing: bits beside those of enum wire_missing.
inline constexpr std::uint64_t missing_source_ip = 1ULL << 32;
inline constexpr std::uint64_t missing_source_port = 1ULL << 33;
inline constexpr std::uint64_t missing_destination_ip = 1ULL << 34;
inline constexpr std::uint64_t missing_destination_port = 1ULL << 35;

/// The field that a bit of wire_header::incomplete stands for (enum wire_missing), or one of those above.
struct MissingBit {
  std::uint64_t bit;
  std::string_view field;
  bool cut;  ///< shown but cut, in place of absent
};
std::span<const MissingBit> missing_bits();

}  // namespace nightjar
