// SPDX-License-Identifier: Apache-2.0
// The namespace family: namespaces, mounts, roots.
#include <filesystem>

#include "agent/pipeline.hpp"
#include "wire/namespace.h"

namespace nightjar {
namespace {

constexpr std::size_t calls_kept = 1024;  // calls that failed after their paths were told

std::uint64_t call_of(std::uint32_t tid, std::uint32_t kind) {
  return std::uint64_t{tid} << 8 | kind;
}

/// A path that a process gave, seen from its directory. Symbolic links stay what they are.
std::string seen_from(const std::string& directory, std::string_view path) {
  if (path.empty() || path.front() == '/' || directory.empty()) return std::string(path);
  std::string joined = (std::filesystem::path(directory) / path).lexically_normal().string();
  if (joined.size() > 1 && joined.back() == '/') joined.pop_back();
  return joined;
}

}  // namespace

std::string Pipeline::namespaces_json(const wire_namespaces& ns, std::uint32_t pid_for_children) {
  std::string text = "{";
  const auto add = [&text](std::string_view name, std::uint32_t inode) {
    if (inode == 0) return;
    if (text.size() > 1) text += ',';
    json::string(text, name);
    text += ':';
    json::number(text, inode);
  };
  add("mnt", ns.mnt);
  add("pid", ns.pid);
  add("net", ns.net);
  add("user", ns.user);
  add("uts", ns.uts);
  add("ipc", ns.ipc);
  add("cgroup", ns.cgroup);
  add("time", ns.time);
  add("pid_for_children", pid_for_children);
  return text + "}";
}

void Pipeline::on_namespace_change(Kind kind, Bytes record, std::string& out) {
  if (!wanted(kind)) return;
  const auto& change = as_wire<namespace_change>(record);
  acting_facts(record);
  facts_[Fact::ns_before] = scratch() = namespaces_json(change.before, change.pid_for_children_before);
  finish(kind, record, out);
}

void Pipeline::on_path_part(Bytes record) {
  const auto& part = as_wire<path_part>(record);
  const std::uint64_t call = call_of(part.tid, part.of);
  if (parts_.size() >= calls_kept && !parts_.contains(call)) parts_.clear();
  PathParts& parts = parts_[call];
  if (part.part < parts.path.size()) parts.path[part.part] = join_path(text_of(record, part.path));
  if (part.part == WIRE_PART_SOURCE) {
    parts.source = string_of(record, part.text);
    parts.fstype = string_of(record, part.fstype);
  }
  parts.incomplete |= part.hdr.incomplete;
}

Pipeline::PathParts Pipeline::take_parts(const wire_task& task, Kind kind) {
  auto found = parts_.extract(call_of(task.tid, static_cast<std::uint32_t>(kind)));
  return found.empty() ? PathParts{} : std::move(found.mapped());
}

void Pipeline::on_mount(Kind kind, Bytes record, std::string& out) {
  const auto& event = as_wire<root_change>(record);  // how the records of all these events begin
  PathParts parts = take_parts(event.task, kind);
  if (!wanted(kind)) return;
  acting_facts(record);
  more_missing_ |= parts.incomplete;
  const mount_paths& paths = event.paths;
  const std::string cwd = join_path(text_of(record, paths.cwd));
  const auto path_of = [&](wire_slice slice, const std::string& told_before) {
    if (slice.len == 0) return told_before;
    return paths.as_given != 0 ? seen_from(cwd, string_of(record, slice)) : join_path(text_of(record, slice));
  };
  const auto fact = [&](Fact which, std::string_view text) {
    if (!text.empty()) facts_[which] = text_fact(which, text);
  };
  const std::string target = path_of(paths.target, parts.path[WIRE_PART_TARGET]);
  if (target.empty()) more_missing_ |= WIRE_MISSING_MOUNT_PATHS;
  fact(Fact::mount_target, target);
  fact(Fact::mount_put_old, path_of(paths.put_old, parts.path[WIRE_PART_PUT_OLD]));
  const std::string_view source = string_of(record, paths.source);
  const std::string& source_path = parts.path[WIRE_PART_SOURCE];
  if (!source.empty()) {
    fact(Fact::mount_source, paths.source_is_path != 0 ? seen_from(cwd, source) : std::string(source));
  } else {
    fact(Fact::mount_source, !source_path.empty() ? source_path : parts.source);
  }
  const std::string_view fstype = string_of(record, paths.fstype);
  fact(Fact::mount_fstype, !fstype.empty() ? fstype : std::string_view(parts.fstype));
  finish(kind, record, out);
}

}  // namespace nightjar
