// SPDX-License-Identifier: Apache-2.0
// The process family: what its records mean together.
#include <fcntl.h>
#include <string.h>  // strerrordesc_np
#include <unistd.h>

#include <sys/stat.h>
#include <sys/wait.h>

#include "agent/exec_gate.hpp"
#include "agent/pipeline.hpp"
#include "nightjar/unique_fd.hpp"
#include "wire/names.hpp"

namespace nightjar {
namespace {

std::string name_json(const wire_task& task) {
  return json::quoted({task.comm, strnlen(task.comm, sizeof task.comm)});
}

/// CPU time in user mode and in the kernel as wait4(2) and getrusage(2) give it: the sampled times tell the proportion,
/// the scheduler's exact run time the sum (kernel/sched/cputime.c, cputime_adjust).
struct CpuTimes {
  std::uint64_t user, system;
};
CpuTimes adjusted(const process_exit& exit) {
  const std::uint64_t run = exit.run_ns;
  if (exit.stime_ns == 0) return {run, 0};
  if (exit.utime_ns == 0) return {0, run};
  const auto system =
      static_cast<std::uint64_t>(static_cast<__uint128_t>(exit.stime_ns) * run / (exit.stime_ns + exit.utime_ns));
  return {run - system, system};
}

/// A root directory through which the files of a mount namespace can be reached; invalid when there is none.
UniqueFd root_of_namespace(std::uint32_t pid, std::uint32_t mount_namespace) {
  const auto namespace_of = [](const std::string& process) {
    struct stat status{};
    return stat(("/proc/" + process + "/ns/mnt").c_str(), &status) == 0 ? status.st_ino : 0;
  };
  const std::string process = std::to_string(pid);
  if (namespace_of("self") == mount_namespace) return UniqueFd(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  UniqueFd root(open(("/proc/" + process + "/root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  // Asked after opening: a pid that was reused meanwhile does not pass.
  return namespace_of(process) == mount_namespace ? std::move(root) : UniqueFd();
}

}  // namespace

void Pipeline::on_fork(Bytes record, std::string& out) {
  const auto& fork = as_wire<process_fork>(record);
  // The child runs what its creator runs, until it execs.
  const Process* creator = processes_.find_live(fork.creator_pid);
  Process& child = remember(fork.task, creator != nullptr ? creator->image : nullptr);
  child.name = name_json(fork.task);
  if (!wanted(Kind::fork)) {
    scratch_used_ = 0;
    return;
  }
  common_facts(fork.hdr, fork.task, &child);
  if (fork.creator_pid != fork.task.parent_pid) facts_[Fact::creator_pid] = number_fact(fork.creator_pid);
  if ((fork.clone_flags & wire::clone_new_namespaces) != 0)
    facts_[Fact::ns_before] = scratch() = namespaces_json(fork.creator_ns);
  finish(Kind::fork, record, out);
}

void Pipeline::on_exit(Bytes record, std::string& out) {
  const auto& exit = as_wire<process_exit>(record);
  Process* process = processes_.find(key_of(exit.task));
  if (process != nullptr) {
    process->name = name_json(exit.task);
    process->exact_start_ns = exit.task.start_ns;
  }
  if (wanted(Kind::exit)) {
    common_facts(exit.hdr, exit.task, process);
    const int status = static_cast<int>(exit.status);
    if (WIFEXITED(status)) {
      facts_[Fact::exit_code] = number_fact(WEXITSTATUS(status));
    } else {
      facts_[Fact::exit_signal] = number_fact(WTERMSIG(status));
      facts_[Fact::exit_core_dumped] = WCOREDUMP(status) ? "true" : "false";
    }
    const CpuTimes cpu = adjusted(exit);
    facts_[Fact::exit_user_ns] = number_fact(cpu.user);
    facts_[Fact::exit_system_ns] = number_fact(cpu.system);
    facts_[Fact::end] = time_fact(exit.hdr.time_ns);
    facts_[Fact::duration] = number_fact(exit.hdr.time_ns - exit.task.start_ns);
    finish(Kind::exit, record, out);
  }
  processes_.ended(key_of(exit.task));
  scripts_.erase(exit.task.tid);
  scratch_used_ = 0;
}

void Pipeline::on_failed_exec(Bytes record, std::string& out) {
  const auto& failed = as_wire<exec_failed>(record);
  scripts_.erase(failed.task.tid);
  if (!wanted(Kind::exec_failed)) return;
  common_facts(failed.hdr, failed.task, processes_.find(key_of(failed.task)));
  const std::string_view filename = string_of(record, failed.filename);
  if (failed.filename.len != 0) facts_[Fact::exec_filename] = text_fact(Fact::exec_filename, filename);
  facts_[Fact::errno_number] = number_fact(failed.error);
  const char* message = strerrordesc_np(static_cast<int>(failed.error));
  if (message != nullptr) facts_[Fact::error_message] = text_fact(Fact::error_message, message);
  finish(Kind::exec_failed, record, out);
}

/// argv and environment, as far as they arrived without a gap.
std::string Pipeline::take_block(const process_exec& exec, Bytes record) {
  std::string block;
  if (exec.data_before != 0) {
    const auto pieces = pieces_.find(exec.hdr.cpu);
    const bool there = pieces != pieces_.end() && pieces->second.pid == exec.task.pid;
    if (there) block = std::move(pieces->second.bytes);
    if (pieces != pieces_.end()) pieces_.erase(pieces);
    if (block.size() != exec.data_before) return block;
  }
  return block += text_of(record, exec.data);
}

void Pipeline::on_exec(Bytes record, std::string& out) {
  const auto& exec = as_wire<process_exec>(record);
  const std::string block = take_block(exec, record);
  const std::string_view whole = block;
  const std::string_view args = whole.substr(0, exec.args_bytes);
  const std::string_view environment = whole.substr(args.size());
  // What was cut off may hold a variable that is asked for.
  if (environment.size() < exec.env_bytes) more_missing_ |= WIRE_MISSING_ENV;
  tell_image(Kind::exec, record, args, environment, true, out);
}

void Pipeline::take_snapshot(Bytes bytes, std::string_view arguments, std::string_view environment, bool shown,
                             std::string& out) {
  const auto record = checked_record(bytes);
  if (!record) {
    ++malformed_;
  } else if (as_wire<wire_header>(*record).kind == WIRE_CGROUP) {
    on_cgroup(*record);
  } else {
    tell_image(Kind::process_snapshot, *record, arguments, environment, shown, out);
  }
}

void Pipeline::tell_scripts(const process_exec& exec, Bytes record, std::string_view args) {
  const std::uint32_t thread = exec.old_tid != 0 ? exec.old_tid : exec.task.tid;
  auto told = scripts_.extract(thread);
  if ((exec.flags & WIRE_EXEC_INTERPRETED) == 0) return;
  const std::string_view interpreter = string_of(record, exec.interpreter);
  facts_[Fact::exec_interpreter] = text_fact(Fact::exec_interpreter, interpreter);
  std::vector<Script> chain;
  if (!told.empty()) {
    chain = std::move(told.mapped());
  } else if (!settings_.sees_scripts) {
    const UniqueFd root = root_of_namespace(exec.task.pid, exec.task.ns.mnt);
    if (root.valid()) {
      chain = derive_scripts({root.get(), join_path(text_of(record, exec.cwd)), exec.task.pid},
                             string_of(record, exec.filename), interpreter, split_strings(args));
    }
    if (chain.empty()) more_missing_ |= WIRE_MISSING_SCRIPTS;
  }
  if (!chain.empty()) facts_[Fact::exec_scripts] = scratch() = scripts_json(chain, facts_.raw);
}

void Pipeline::tell_image(Kind kind, Bytes record, std::string_view args, std::string_view environment, bool shown,
                          std::string& out) {
  const auto& exec = as_wire<process_exec>(record);
  const std::uint64_t missing_before = std::exchange(more_missing_, 0);
  const Process* before = processes_.find(key_of(exec.task));
  const std::shared_ptr<const Image> previous = before != nullptr ? before->image : nullptr;

  ArgsText whole;
  const auto full_size = kind == Kind::exec ? exec.args_bytes : args.size();
  auto image = make_image(join_path(text_of(record, exec.executable)), args, full_size, &whole);
  if (kind == Kind::process_snapshot) {
    // Who forked and ran nothing else has its parent's, as after a fork that was seen.
    const Process* parent = processes_.find({exec.task.parent_pid, known_start(exec.task.parent_start_ns)});
    if (parent != nullptr && parent->image && *parent->image == *image) image = parent->image;
  }
  Process& process = remember(exec.task, image, kind == Kind::exec || knows_exact_starts());
  process.name = name_json(exec.task);
  if (kind == Kind::exec) process.exec_ns = exec.hdr.time_ns;
  if (!shown || !wanted(kind)) {
    scripts_.erase(exec.old_tid != 0 ? exec.old_tid : exec.task.tid);
    scratch_used_ = 0;
    return;
  }
  more_missing_ = missing_before;
  common_facts(exec.hdr, exec.task, &process);
  if (!whole.args.empty()) {
    // The table keeps the beginning only; this event tells all that came.
    facts_[Fact::args] = whole.args;
    facts_[Fact::command_line] = whole.command_line;
    std::erase_if(facts_.raw, [](const json::Named& named) {
      return named.first == "process.args" || named.first == "process.command_line";
    });
    std::move(whole.raw.begin(), whole.raw.end(), std::back_inserter(facts_.raw));
    if (args.size() >= full_size) truncated_.clear();
  }
  if (exec.cwd.len != 0)
    facts_[Fact::working_directory] = text_fact(Fact::working_directory, join_path(text_of(record, exec.cwd)));
  if (!settings_.environment.empty()) {
    std::string& chosen = scratch();
    chosen = chosen_environment(environment, settings_.environment, facts_.raw);
    facts_[Fact::env_vars] = chosen;
  }
  facts_[Fact::interactive] = exec.tty_major != 0 ? "true" : "false";
  if (exec.tty_major != 0) facts_[Fact::tty_minor] = number_fact(exec.tty_minor);
  if (const Process* leader = processes_.find_live(exec.session_pid))
    facts_[Fact::session_entity_id] = leader->entity_id;
  if (const Process* leader = processes_.find_live(exec.group_pid)) facts_[Fact::group_entity_id] = leader->entity_id;
  facts_[Fact::ancestors] = scratch() = processes_.ancestors(process);
  if (kind == Kind::exec) {
    if (exec.filename.len != 0)
      facts_[Fact::exec_filename] = text_fact(Fact::exec_filename, string_of(record, exec.filename));
    if (previous) facts_[Fact::previous_executable] = previous->executable;
    tell_scripts(exec, record, args);
    if (settings_.executables != nullptr) tell_executable(exec, record);
  }
  finish(kind, record, out);
}

void Pipeline::tell_executable(const process_exec& exec, Bytes record) {
  const ExecutableFacts& executables = *settings_.executables;
  const auto answer = executables.answer(identity_of(exec.file), join_path(text_of(record, exec.executable)));
  if (executables.wanted().digest) {
    if (answer.sha256.empty()) {
      more_missing_ |= WIRE_MISSING_HASH;
    } else {
      facts_[Fact::exec_sha256] = scratch() = json::quoted(answer.sha256);
    }
  }
  if (!executables.wanted().package) return;
  if (!answer.owner) {
    more_missing_ |= WIRE_MISSING_PACKAGE;
  } else if (const auto& package = *answer.owner) {
    facts_[Fact::package_name] = scratch() = json::quoted(package->name);
    facts_[Fact::package_version] = scratch() = json::quoted(package->version);
    facts_[Fact::package_architecture] = scratch() = json::quoted(package->architecture);
    facts_[Fact::package_type] = scratch() = json::quoted(package->type);
  }
}

}  // namespace nightjar
