// SPDX-License-Identifier: Apache-2.0
#include "agent/pipeline.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <unistd.h>

#include "agent/container_files.hpp"
#include "wire/container.hpp"

namespace nightjar {
namespace {

// Bounds of what is kept for events that may never come (an exec that fails after its script was told).
constexpr std::size_t processes_kept = 65536;
constexpr std::size_t script_chains_kept = 1024;
// Of these the half that was told last, at least: the kernel side tells a path again when some 2,048 others were told.
constexpr std::size_t cgroups_kept = 16384;

/// What the agent knows of itself without the kernel side's help: its ids, but neither its exact start nor its
/// namespaces.
std::vector<std::byte> self_as_seen_from_here() {
  std::vector<std::byte> record(sizeof(wire_header) + sizeof(wire_task));
  auto& task = *reinterpret_cast<wire_task*>(record.data() + sizeof(wire_header));
  task.pid = task.tid = task.vpid = static_cast<std::uint32_t>(getpid());
  task.parent_pid = static_cast<std::uint32_t>(getppid());
  getresuid(&task.ruid, &task.uid, &task.suid);
  getresgid(&task.rgid, &task.gid, &task.sgid);
  task.login_uid = 0xffffffff;
  std::memcpy(task.comm, "nightjar", sizeof "nightjar");
  return record;
}

void hex(std::string& to, std::uint64_t value) {
  char digits[16];
  const auto end = std::to_chars(digits, digits + sizeof digits, value, 16).ptr;
  to.append(digits, end);
}

}  // namespace

Pipeline::Pipeline(const Host& host, Settings settings)
    : host_(host),
      settings_(std::move(settings)),
      encoder_(host.constants(), settings_.format),
      processes_(processes_kept) {
  if (settings_.both_formats)
    other_encoder_.emplace(host.constants(), settings_.format == Format::ecs ? Format::ocsf : Format::ecs);
  for (const Kind kind : settings_.wanted) wanted_.set(static_cast<std::size_t>(kind));
  for (const auto& [kind, hook] : settings_.hooks) hooks_[static_cast<std::size_t>(kind)] = hook;
  names_.refresh();
}

std::string& Pipeline::scratch() {
  if (scratch_used_ == scratch_.size()) scratch_.emplace_back();
  std::string& text = scratch_[scratch_used_++];
  text.clear();
  return text;
}

std::string_view Pipeline::entity_id(std::uint32_t pid, std::uint64_t start_ns) {
  std::string& text = scratch();
  text += '"';
  text += host_.boot_prefix;
  text += '-';
  hex(text, pid);
  text += '-';
  hex(text, start_ns);
  text += '"';
  return text;
}

std::string_view Pipeline::time_fact(std::uint64_t boot_ns) {
  std::string& text = scratch();
  json::timestamp(text, host_.to_unix(boot_ns));
  return text;
}

std::string_view Pipeline::text_fact(Fact fact, std::string_view bytes) {
  std::string& text = scratch();
  text_field(fact_info(fact).name, bytes, text, facts_.raw);
  return text;
}

void Pipeline::replay(Bytes bytes, std::string& out) {
  replaying_ = true;
  take(bytes, out);
  replaying_ = false;
}

void Pipeline::resume(std::uint64_t sequence, std::span<const std::uint64_t> sent_by_kind) {
  sequence_ = sequence;
  for (const EventInfo& event : all_events()) {
    const auto kind = static_cast<std::size_t>(event.kind);
    if (kind < sent_by_kind.size()) sent_[kind] = sent_by_kind[kind];
  }
}

void Pipeline::take(Bytes bytes, std::string& out) {
  const auto record = checked_record(bytes);
  if (!record) {
    ++malformed_;
    return;
  }
  switch (as_wire<wire_header>(*record).kind) {
    case WIRE_PROCESS_FORK:
      return on_fork(*record, out);
    case WIRE_PROCESS_EXEC:
      return on_exec(*record, out);
    case WIRE_PROCESS_EXIT:
      return on_exit(*record, out);
    case WIRE_EXEC_FAILED:
      return on_failed_exec(*record, out);
    case WIRE_EXEC_DATA:
      return on_piece(*record);
    case WIRE_EXEC_SCRIPT:
      return on_script(*record);
    case WIRE_CGROUP:
      return on_cgroup(*record);
    case WIRE_PATH_PART:
      return on_path_part(*record);
    case WIRE_PTRACE:
    case WIRE_PROCESS_VM_WRITE:
    case WIRE_PROC_MEM_WRITE:
    case WIRE_KILL:
      return on_targeted(static_cast<Kind>(as_wire<wire_header>(*record).kind), *record, out);
    case WIRE_MPROTECT_EXEC:
    case WIRE_MMAP_EXEC:
      return on_executable_memory(static_cast<Kind>(as_wire<wire_header>(*record).kind), *record, out);
    case WIRE_SET_CREDENTIALS:
    case WIRE_CAPABILITY_SET:
      return on_credentials(static_cast<Kind>(as_wire<wire_header>(*record).kind), *record, out);
    case WIRE_MODULE_LOAD:
    case WIRE_KEXEC_LOAD:
      return on_kernel_file(static_cast<Kind>(as_wire<wire_header>(*record).kind), *record, out);
    case WIRE_SYSCTL_WRITE:
      return on_sysctl(*record, out);
    case WIRE_MEMFD_CREATE:
    case WIRE_LOGIN_UID_SET:
    case WIRE_MODULE_UNLOAD:
    case WIRE_BPF_PROGRAM_LOAD:
    case WIRE_BPF_ACCESS:
      return on_plain(static_cast<Kind>(as_wire<wire_header>(*record).kind), *record, out);
    case WIRE_UNSHARE:
    case WIRE_SETNS:
      return on_namespace_change(static_cast<Kind>(as_wire<wire_header>(*record).kind), *record, out);
    case WIRE_MOUNT:
    case WIRE_UMOUNT:
    case WIRE_MOVE_MOUNT:
    case WIRE_PIVOT_ROOT:
    case WIRE_CHROOT:
      return on_mount(static_cast<Kind>(as_wire<wire_header>(*record).kind), *record, out);
    case WIRE_NET_CONNECT:
    case WIRE_NET_ACCEPT:
    case WIRE_NET_CLOSE:
      return on_connection(*record, out);
    case WIRE_UDP_SEND:
    case WIRE_UDP_RECEIVE:
      return on_flow(*record, out);
    case WIRE_DNS_QUERY:
    case WIRE_DNS_ANSWER:
      return on_dns(*record, out);
    case WIRE_DNS_PART:
      return on_dns_part(*record, out);
    case WIRE_UNIX_CONNECT:
      return on_unix(*record, out);
    case WIRE_NET_LISTEN:
    case WIRE_NET_BIND:
      return on_endpoint(*record, out);
    default:
      if (event_info(static_cast<Kind>(as_wire<wire_header>(*record).kind)).family == "file")
        return on_file(*record, out);
      ++malformed_;
  }
}

// ---- Parts that join events ----

void Pipeline::on_piece(Bytes record) {
  const auto& piece = as_wire<exec_data>(record);
  Pieces& pieces = pieces_[piece.hdr.cpu];
  if (piece.offset == 0) {
    pieces.pid = piece.pid;
    pieces.bytes.clear();
  }
  // A piece that does not continue what is there belongs to an exec of which another piece was lost.
  if (pieces.pid == piece.pid && pieces.bytes.size() == piece.offset) pieces.bytes += text_of(record, piece.data);
}

void Pipeline::on_script(Bytes record) {
  const auto& script = as_wire<exec_script>(record);
  if (scripts_.size() >= script_chains_kept && !scripts_.contains(script.tid)) scripts_.clear();
  std::vector<Script>& chain = scripts_[script.tid];
  if (script.first != 0) chain.clear();
  chain.push_back({join_path(text_of(record, script.path)), script.inode, script.dev});
}

Pipeline::Cgroup* Pipeline::find_cgroup(std::uint64_t id) {
  for (Cgroups* some : {&cgroups_, &older_cgroups_}) {
    if (const auto found = some->find(id); found != some->end()) return &found->second;
  }
  return nullptr;
}

void Pipeline::on_cgroup(Bytes record) {
  const auto& told = as_wire<cgroup_path>(record);
  if (cgroups_.size() >= cgroups_kept / 2) older_cgroups_ = std::exchange(cgroups_, {});
  const std::string path = join_path(text_of(record, told.path));
  const ContainerName container = container_of_cgroup(path);
  Cgroup& cgroup = cgroups_[told.id];
  cgroup = Cgroup();
  cgroup.path = json::quoted(path);
  if (!container.id.empty()) cgroup.id = json::quoted(container.id);
  if (!container.runtime.empty()) cgroup.runtime = json::quoted(container.runtime);
  if (!container.pod_uid.empty()) cgroup.pod = json::quoted(container.pod_uid);
  const ContainerDetails details = details_of_container(container.id);
  if (!details.image.empty()) cgroup.image = json::quoted(details.image);
  if (!details.name.empty()) cgroup.name = json::quoted(details.name);
}

// ---- Facts ----

Process& Pipeline::remember(const wire_task& task, std::shared_ptr<const Image> image, bool exact_start) {
  Process process;
  process.key = key_of(task);
  process.parent = {task.parent_pid, known_start(task.parent_start_ns)};
  process.image = std::move(image);
  process.exact_start_ns = exact_start ? task.start_ns : 0;
  std::uint64_t start = process.key.start_ns;
  if (!knows_exact_starts()) {
    const Process* before = processes_.find(process.key);
    const std::uint64_t exact = before != nullptr ? before->exact_start_ns : 0;
    if (exact_start && exact != 0 && exact != task.start_ns) {
      start = std::max<std::uint64_t>(task.start_ns, start + 1);  // the second process of that pid in one step
    } else if (before != nullptr) {
      process.entity_id = before->entity_id;
      process.start = before->start;
      process.exact_start_ns = std::max(process.exact_start_ns, exact);
    }
  }
  if (process.entity_id.empty()) {
    process.entity_id = entity_id(task.pid, start);
    process.start = time_fact(start);
  }
  return processes_.put(std::move(process));
}

void Pipeline::image_facts(const Image& image) {
  facts_[Fact::executable] = image.executable;
  facts_[Fact::args] = image.args;
  facts_[Fact::command_line] = image.command_line;
  facts_.raw.insert(facts_.raw.end(), image.raw.begin(), image.raw.end());
  if (image.args_cut_from != 0) truncated_.emplace_back("process.args", std::to_string(image.args_cut_from));
}

void Pipeline::common_facts(const wire_header& header, const wire_task& task, const Process* process) {
  std::string& id = scratch();
  id += '"';
  id += host_.boot_prefix;
  id += '-';
  json::number(id, header.cpu);
  id += '-';
  json::number(id, header.kind);
  id += '-';
  json::number(id, header.seq);
  id += '"';
  facts_[Fact::event_id] = id;
  facts_[Fact::timestamp] = time_fact(header.time_ns);

  if (process == nullptr || !process->image) more_missing_ |= WIRE_UNKNOWN_PROCESS;
  if (process != nullptr) {
    facts_[Fact::entity_id] = process->entity_id;
    facts_[Fact::start] = process->start;
    if (process->image) image_facts(*process->image);
  } else {
    facts_[Fact::entity_id] = entity_id(task.pid, known_start(task.start_ns));
    facts_[Fact::start] = time_fact(known_start(task.start_ns));
  }
  std::string& user = scratch();
  user += '"';
  json::number(user, task.uid);
  user += '"';
  facts_[Fact::user_id] = user;
  if (settings_.user_names) {
    facts_[Fact::user_name] = facts_[Fact::process_user_name] = names_.user(task.uid);
    facts_[Fact::process_group_name] = names_.group(task.gid);
  }

  if (task.parent_pid != 0) {
    const Process* parent = processes_.find({task.parent_pid, known_start(task.parent_start_ns)});
    if (parent != nullptr) {
      facts_[Fact::parent_entity_id] = parent->entity_id;
      facts_[Fact::parent_name] = parent->name;
      if (parent->image) facts_[Fact::parent_executable] = parent->image->executable;
    }
    if (parent == nullptr || !parent->image) more_missing_ |= WIRE_UNKNOWN_PARENT;
    if (parent == nullptr) {
      facts_[Fact::parent_entity_id] = entity_id(task.parent_pid, known_start(task.parent_start_ns));
    }
  }
  if (const Cgroup* cgroup = find_cgroup(task.cgroup_id)) {
    facts_[Fact::cgroup_path] = cgroup->path;
    facts_[Fact::container_id] = cgroup->id;
    facts_[Fact::container_runtime] = cgroup->runtime;
    facts_[Fact::container_image] = cgroup->image;
    facts_[Fact::container_name] = cgroup->name;
    if (!cgroup->pod.empty()) {
      facts_[Fact::orchestrator] = "\"kubernetes\"";
      facts_[Fact::pod_kind] = "\"pod\"";
      facts_[Fact::pod_uid] = cgroup->pod;
    }
  } else if (task.cgroup_id != 0) {
    more_missing_ |= WIRE_MISSING_CGROUP;
  }
}

void Pipeline::acting_facts(Bytes record) {
  struct Start {
    wire_header hdr;
    wire_task task;
  };
  const auto& start = as_wire<Start>(record);
  common_facts(start.hdr, start.task, processes_.find(key_of(start.task)));
}

void Pipeline::finish(Kind kind, Bytes record, std::string& out) {
  const EventInfo& event = event_info(kind);
  if (replaying_ || !passes(event, record)) return forget_event();
  const auto& header = as_wire<wire_header>(record);
  if (const std::uint64_t missing = header.incomplete | more_missing_; missing != 0) missing_facts(missing);
  if (!truncated_.empty()) {
    std::string& truncated = scratch();
    for (const auto& [field, size] : truncated_) {
      truncated += truncated.empty() ? '{' : ',';
      json::string(truncated, field);
      truncated += ':';
      truncated += size;
    }
    facts_[Fact::truncated] = truncated += '}';
  }
  if (const std::string& hook = hooks_[static_cast<std::size_t>(kind)]; !hook.empty()) facts_[Fact::hook] = hook;
  facts_[Fact::event_sequence] = number_fact(++sequence_);
  // The first encoding adds the raw bytes of its texts to the facts.
  const std::size_t raw_before = facts_.raw.size();
  encoder_.encode(out, event, record, facts_);
  lines_.push_back({kind, static_cast<std::uint32_t>(out.size()), rule_id_});
  if (other_encoder_) {
    facts_.raw.resize(raw_before);
    other_encoder_->encode(other_.text, event, record, facts_);
    other_.lines.push_back({kind, static_cast<std::uint32_t>(other_.text.size()), rule_id_});
  }
  ++sent_[static_cast<std::size_t>(kind)];
  if (event.family != "sensor") ++sent_in_all_;
  forget_event();
}

void Pipeline::missing_facts(std::uint64_t missing) {
  std::string& incomplete = scratch();
  for (const MissingBit& bit : missing_bits()) {
    if ((missing & bit.bit) == 0) continue;
    if (bit.cut) {
      // How long the whole path is, the kernel side does not know: it stopped walking.
      truncated_.emplace_back(bit.field, "null");
      continue;
    }
    incomplete += incomplete.empty() ? '[' : ',';
    json::string(incomplete, bit.field);
  }
  if (!incomplete.empty()) incomplete += ']';
  facts_[Fact::incomplete] = incomplete;
}

void Pipeline::forget_event() {
  facts_.clear();
  truncated_.clear();
  more_missing_ = 0;
  scratch_used_ = 0;
  rule_id_ = {};
}

std::uint64_t Pipeline::sent(Kind kind) const {
  return sent_[static_cast<std::size_t>(kind)];
}

// ---- The agent's own events ----

void Pipeline::set_self(Bytes record) {
  self_.assign(record.begin(), record.begin() + sizeof(wire_header) + sizeof(wire_task));
  self_known_ = true;
}

void Pipeline::own_event(Kind kind, Facts& facts, std::string& out) {
  facts_ = std::move(facts);
  const bool known = self_known_;
  if (self_.empty()) self_ = self_as_seen_from_here();
  auto& header = *reinterpret_cast<wire_header*>(self_.data());
  header.time_ns = boot_clock_ns();
  header.kind = static_cast<std::uint16_t>(kind);
  header.seq = settings_.sequence_base + own_events_++;
  header.incomplete = 0;
  // A copy: facts may grow scratch while the task is read.
  const auto task = *reinterpret_cast<const wire_task*>(self_.data() + sizeof(wire_header));
  common_facts(header, task, processes_.find(key_of(task)));
  more_missing_ = 0;  // who started the agent is of no concern to the stream
  if (!known) {
    for (const Fact fact : {Fact::entity_id, Fact::start, Fact::parent_entity_id}) facts_[fact] = {};
  }
  facts_[Fact::hook] = "\"agent\"";
  finish(kind, self_, out);
}

}  // namespace nightjar
