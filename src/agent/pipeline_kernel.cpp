// SPDX-License-Identifier: Apache-2.0
// The privilege and kernel families.
#include <algorithm>
#include <utility>

#include <sys/syscall.h>

#include "agent/pipeline.hpp"
#include "wire/kernel.h"
#include "wire/namespace.h"
#include "wire/privilege.h"

namespace nightjar {
namespace {

/// The system calls that can end in new credentials, by this architecture's numbers.
constexpr std::pair<long, std::string_view> causes[] = {
    {SYS_execve, "execve"},     {SYS_execveat, "execveat"}, {SYS_setuid, "setuid"},       {SYS_setgid, "setgid"},
    {SYS_setreuid, "setreuid"}, {SYS_setregid, "setregid"}, {SYS_setresuid, "setresuid"}, {SYS_setresgid, "setresgid"},
    {SYS_setfsuid, "setfsuid"}, {SYS_setfsgid, "setfsgid"}, {SYS_setgroups, "setgroups"}, {SYS_capset, "capset"},
    {SYS_prctl, "prctl"},       {SYS_unshare, "unshare"},   {SYS_setns, "setns"},         {SYS_keyctl, "keyctl"},
};

}  // namespace

void Pipeline::on_credentials(Kind kind, Bytes record, std::string& out) {
  if (!wanted(kind)) return;
  const auto& change = as_wire<credentials_change>(record);
  acting_facts(record);
  const auto cause =
      std::find_if(std::begin(causes), std::end(causes), [&](const auto& row) { return row.first == change.syscall; });
  if (cause != std::end(causes)) facts_[Fact::credentials_cause] = text_fact(Fact::credentials_cause, cause->second);
  finish(kind, record, out);
}

void Pipeline::on_kernel_file(Kind kind, Bytes record, std::string& out) {
  struct Start {
    wire_header hdr;
    wire_task task;
  };
  const PathParts parts = take_parts(as_wire<Start>(record).task, kind);
  if (!wanted(kind)) return;
  acting_facts(record);
  const std::string& path = parts.path[WIRE_PART_FILE];
  if (!path.empty()) facts_[Fact::kernel_file] = text_fact(Fact::kernel_file, path);
  finish(kind, record, out);
}

void Pipeline::on_sysctl(Bytes record, std::string& out) {
  if (!wanted(Kind::sysctl_write)) return;
  const auto& written = as_wire<sysctl_written>(record);
  acting_facts(record);
  // Wherever proc is mounted, the setting's name is what follows its directory "sys".
  constexpr std::string_view directory = "/sys/";
  std::string name = join_path(text_of(record, written.path));
  const auto at = name.find(directory);
  if (at != std::string::npos) name.erase(0, at + directory.size());
  if (!name.empty()) facts_[Fact::sysctl_name] = text_fact(Fact::sysctl_name, name);
  std::string_view value = string_of(record, written.value);
  while (value.ends_with('\n') || value.ends_with('\0')) value.remove_suffix(1);
  if (!value.empty()) facts_[Fact::sysctl_value] = text_fact(Fact::sysctl_value, value);
  finish(Kind::sysctl_write, record, out);
}

}  // namespace nightjar
