// SPDX-License-Identifier: Apache-2.0
// The file family: paths, link texts, and what the flags say.
#include <sys/stat.h>

#include "agent/pipeline.hpp"

namespace nightjar {
namespace {

std::string_view file_type(std::uint32_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return "\"file\"";
    case S_IFDIR:
      return "\"dir\"";
    case S_IFLNK:
      return "\"symlink\"";
    case S_IFBLK:
      return "\"block_device\"";
    case S_IFCHR:
      return "\"character_device\"";
    case S_IFIFO:
      return "\"fifo\"";
    case S_IFSOCK:
      return "\"socket\"";
    default:
      return {};
  }
}

}  // namespace

void Pipeline::on_file(Bytes record, std::string& out) {
  const auto& file = as_wire<file_event>(record);
  const auto kind = static_cast<Kind>(file.hdr.kind);
  if (!wanted(kind)) return;
  common_facts(file.hdr, file.task, processes_.find(key_of(file.task)));
  std::string& joined = scratch();
  join_path(text_of(record, file.path), joined);
  if (const std::string_view path = joined; !path.empty()) {
    facts_[Fact::file_path] = text_fact(Fact::file_path, path);
    const std::size_t slash = path.rfind('/');
    if (slash + 1 < path.size()) facts_[Fact::file_name] = text_fact(Fact::file_name, path.substr(slash + 1));
  }
  if (file.old_path.len != 0)
    facts_[Fact::file_old_path] = text_fact(Fact::file_old_path, join_path(text_of(record, file.old_path)));
  if (kind == Kind::symlink && file.target.len != 0)
    facts_[Fact::file_target] = text_fact(Fact::file_target, string_of(record, file.target));
  if (kind == Kind::rename) facts_[Fact::file_exchange] = (file.flags & WIRE_FILE_EXCHANGE) != 0 ? "true" : "false";
  if ((file.flags & WIRE_FILE_DELETED) != 0) facts_[Fact::file_deleted] = "true";
  if ((file.flags & WIRE_FILE_UNREACHABLE) != 0) facts_[Fact::file_unreachable] = "true";
  if (file.mode != WIRE_NO_ID) facts_[Fact::file_type] = file_type(file.mode);
  finish(kind, record, out);
}

}  // namespace nightjar
