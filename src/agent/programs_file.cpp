// SPDX-License-Identifier: Apache-2.0
#include "agent/programs_file.hpp"

namespace nightjar {
namespace {

/// Both programs of a call, for a tier.
void add_pair(std::vector<Program>& to, const std::string& stem, bool typed) {
  to.emplace_back(stem + (typed ? "_enter__fentry" : "_enter__kprobe"));
  to.emplace_back(stem + (typed ? "__fexit" : "__kretprobe"));
}

/// rmdir is seen where the kernel asks its security modules, and ends in one of two functions (bpf/file.bpf.c).
void add_rmdir(std::vector<Program>& to, bool typed, bool asked) {
  const std::string hook = typed ? "fentry" : "kprobe";
  to.emplace_back("file_rmdir_enter__" + std::string(asked ? "" : "vfs_") + hook);
  to.emplace_back(typed ? "file_rmdir__fexit" : "file_rmdir__kretprobe");
  to.push_back(Program(typed ? "file_rmdir__outer_fexit_more" : "file_rmdir__outer_kretprobe_more",
                       {"do_rmdir", "filename_rmdir"})
                   .optional());
}

/// `asked`: the kernel asks security modules.
std::vector<Program> file_programs(bool typed, bool asked) {
  std::vector<Program> programs;
  const char* const at_return = typed ? "__fexit" : "__kretprobe";
  // do_file_open in 7.3.
  programs.emplace_back(std::string("file_open") + at_return, std::vector<std::string>{"do_filp_open", "do_file_open"});
  programs.push_back(Program(std::string("file_open_root") + at_return).optional());
  for (const char* mount : {"file_mount", "file_mount_of", "file_unmount", "file_unmount_of"})
    programs.emplace_back(std::string(mount) + (typed ? "_enter__fentry" : "_enter__kprobe"));
  for (const char* stem : {"file_rename", "file_delete", "file_link", "file_symlink", "file_setattr", "file_mkdir",
                           "file_mknod", "file_create", "file_xattr_set"})
    add_pair(programs, stem, typed);
  add_rmdir(programs, typed, asked);
  std::vector<Program> acl;
  add_pair(acl, "file_acl_set", typed);  // vfs_set_acl: 6.2
  for (Program& program : acl) programs.push_back(program.optional());
  return programs;
}

/// A program at these system calls, by the calls' names.
Program at_calls(const char* program, const std::string& side, std::initializer_list<const char*> calls) {
  std::vector<std::string> points;
  for (const char* call : calls) points.push_back("syscalls/sys_" + side + "_" + call);
  return Program(program, points).all_points();
}

/// Those that describe() in bpf/file_asked.bpf.h knows.
Program at_file_calls(const char* program, const std::string& side) {
  return at_calls(program, side,
                  {
#ifdef __x86_64__
                      "open",      "creat",     "rename",
                      "mkdir",     "rmdir",     "unlink",
                      "link",      "symlink",   "chmod",
                      "chown",     "lchown",    "mknod",
                      "utime",     "utimes",    "futimesat",
#endif
                      "openat",    "openat2",   "open_by_handle_at",
                      "renameat",  "renameat2", "mkdirat",
                      "unlinkat",  "linkat",    "symlinkat",
                      "fchmod",    "fchmodat",  "fchmodat2",
                      "fchown",    "fchownat",  "truncate",
                      "ftruncate", "mknodat",   "setxattr",
                      "lsetxattr", "fsetxattr", "utimensat"});
}

// The names avoid __tp_btf: these programs have no stand-ins (with_stand_ins).
std::vector<Program> file_call_programs() {
  return {Program("file_witness_set__timestamp"), Program("file_witness_changed__timestamp"),
          Program("file_witness_same__timestamp"), at_file_calls("file_calls__calls", "exit"),
          at_file_calls("file_calls_enter__calls", "enter")};
}

std::vector<Program> write_call_programs() {
  return {at_calls("file_modify__calls", "enter",
                   {
#ifdef __x86_64__
                       "dup2",
#endif
                       "close", "dup3"}),
          at_calls("file_process_ends__calls", "enter", {"exit", "exit_group"}), Program(std::string(told_before_exit)),
          at_calls("file_written__calls", "exit",
                   {"write", "pwrite64", "writev", "pwritev", "pwritev2", "sendfile", "splice", "copy_file_range"})};
}

ProgramVersion legacy_file_version() {
  ProgramVersion version(std::string(legacy_tier), {});
  std::uint32_t slot = 0;
  for (const char* step : {"walk", "next", "last"}) {
    version.programs.push_back(
        Program("file_chain_" + std::string(step) + "__legacy").tail_call("legacy_file_calls", slot++));
  }
  for (const char* stem :
       {"file_mount_enter", "file_mount_of_enter", "file_open_enter", "file_create_enter", "file_create",
        "file_delete_enter", "file_delete", "file_rename_enter", "file_rename", "file_setattr_enter", "file_setattr"})
    version.programs.emplace_back(std::string(stem) + "__legacy");
  version.programs.emplace_back("file_open__legacy", std::vector<std::string>{"do_filp_open", "do_file_open"});
  return version.require(Feature::kprobe).require(Feature::perf_buffer);
}

}  // namespace

GroupSpec file_group() {
  return {"file",
          {{.kind = Kind::create, .program_stem = "file_open", .common_stem = "file_calls"},
           {.kind = Kind::open_write, .program_stem = "file_open", .common_stem = "file_calls"},
           {.kind = Kind::open_read, .program_stem = "file_open", .common_stem = "file_calls"},
           {.kind = Kind::rename, .program_stem = "file_rename", .common_stem = "file_calls"},
           {.kind = Kind::remove, .program_stem = "file_delete", .common_stem = "file_calls"},
           {.kind = Kind::link, .program_stem = "file_link", .common_stem = "file_calls"},
           {.kind = Kind::symlink, .program_stem = "file_symlink", .common_stem = "file_calls"},
           {.kind = Kind::chmod, .program_stem = "file_setattr", .common_stem = "file_calls"},
           {.kind = Kind::chown, .program_stem = "file_setattr", .common_stem = "file_calls"},
           {.kind = Kind::truncate, .program_stem = "file_setattr", .common_stem = "file_calls"},
           {.kind = Kind::mkdir, .program_stem = "file_mkdir", .common_stem = "file_calls"},
           {.kind = Kind::rmdir, .program_stem = "file_rmdir", .common_stem = "file_calls"},
           {.kind = Kind::mknod, .program_stem = "file_mknod", .common_stem = "file_calls"},
           {.kind = Kind::xattr_set, .program_stem = "file_xattr_set", .common_stem = "file_calls"},
           {.kind = Kind::utimes, .program_stem = "file_setattr", .common_stem = "file_calls"}},
          {
              ProgramVersion("btf", file_programs(true, true)).require(Feature::fentry),
              ProgramVersion("btf", file_programs(true, false)).require(Feature::fentry),
              ProgramVersion("kprobe", file_programs(false, true)).require(Feature::kprobe),
              ProgramVersion("kprobe", file_programs(false, false)).require(Feature::kprobe),
              ProgramVersion("tracepoint", file_call_programs()).require(Feature::tp_btf),
              legacy_file_version(),
          },
          false};
}

GroupSpec file_writes_group() {
  return {"file_writes",
          {{Kind::modify, "file_modify"}},
          {
              ProgramVersion(
                  "btf", {Program("file_modify__fentry"), Program("file_process_ends__fentry"),
                          Program("file_write__fexit"), Program("file_writev__fexit"), Program("file_splice__fexit"),
                          Program("file_copy_enter__fentry"), Program("file_copy__fexit")})
                  .require(Feature::fentry),
              ProgramVersion("kprobe", {Program("file_modify__kprobe"), Program("file_process_ends__kprobe"),
                                        Program("file_write_enter__kprobe"), Program("file_write__kretprobe"),
                                        Program("file_writev_enter__kprobe"), Program("file_writev__kretprobe"),
                                        Program("file_splice_enter__kprobe"), Program("file_splice__kretprobe"),
                                        Program("file_copy_enter__kprobe"), Program("file_copy__kretprobe")})
                  .require(Feature::kprobe),
              ProgramVersion("tracepoint", write_call_programs()).require(Feature::tp_btf),
          },
          false};
}

std::string_view file_degradation(Kind kind, std::string_view tier) {
  if (kind == Kind::modify && tier != "tracepoint")
    return "bytes written through io_uring and through memory maps are not counted";
  if (kind == Kind::modify)
    return "bytes written through io_uring, memory maps and by 32-bit programs are not counted; a file whose last "
           "close is an exec, a close_range or the end of a memory map is not told";
  if (tier != "tracepoint") return {};
  switch (kind) {
    case Kind::create:
    case Kind::open_write:
    case Kind::open_read:
      return "system calls only: what io_uring and 32-bit programs do is not seen";
    case Kind::chmod:
    case Kind::chown:
      return "system calls only: what io_uring and 32-bit programs do is not seen; what was before is known only of "
             "calls on a descriptor";
    default:
      return "system calls only: what io_uring and 32-bit programs do is not seen, nor what happens on file systems "
             "that keep no change times of their own; where a file system is mounted twice, the path may lead through "
             "either; on overlays a link to a file of another directory may not say which file that is, and where a "
             "directory has over a thousand entries in use, the removal of what only a lower layer has may be missed";
  }
}

}  // namespace nightjar
