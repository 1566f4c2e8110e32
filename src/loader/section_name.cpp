// SPDX-License-Identifier: Apache-2.0
#include "section_name.hpp"

#include <algorithm>
#include <array>

namespace nightjar {
namespace {

struct Convention {
  std::string_view prefix;
  ProgramKind kind;
};

// What is not here (kprobe.multi, xdp, tc, struct_ops, ...) is loaded and left to the caller: other.
constexpr std::array conventions{
    Convention{"ksyscall", ProgramKind::kprobe},
    Convention{"kretsyscall", ProgramKind::kretprobe},
    Convention{"uprobe", ProgramKind::uprobe},
    Convention{"uprobe.s", ProgramKind::uprobe},
    Convention{"uretprobe", ProgramKind::uretprobe},
    Convention{"uretprobe.s", ProgramKind::uretprobe},
    Convention{"usdt", ProgramKind::usdt},
    Convention{"cgroup", ProgramKind::cgroup},
    Convention{"cgroup_skb", ProgramKind::cgroup},
    Convention{"sockops", ProgramKind::cgroup},
    Convention{"socket", ProgramKind::socket},
    Convention{"kprobe", ProgramKind::kprobe},
    Convention{"kretprobe", ProgramKind::kretprobe},
    Convention{"tracepoint", ProgramKind::tracepoint},
    Convention{"tp", ProgramKind::tracepoint},
    Convention{"raw_tracepoint", ProgramKind::raw_tracepoint},
    Convention{"raw_tp", ProgramKind::raw_tracepoint},
    Convention{"raw_tracepoint.w", ProgramKind::raw_tracepoint},
    Convention{"raw_tp.w", ProgramKind::raw_tracepoint},
    Convention{"tp_btf", ProgramKind::tp_btf},
    Convention{"fentry", ProgramKind::fentry},
    Convention{"fentry.s", ProgramKind::fentry},
    Convention{"fexit", ProgramKind::fexit},
    Convention{"fexit.s", ProgramKind::fexit},
    Convention{"fmod_ret", ProgramKind::fmod_ret},
    Convention{"fmod_ret.s", ProgramKind::fmod_ret},
    Convention{"lsm", ProgramKind::lsm},
    Convention{"lsm.s", ProgramKind::lsm},
    Convention{"iter", ProgramKind::iterator},
    Convention{"iter.s", ProgramKind::iterator},
};

}  // namespace

SectionMeaning read_section_name(std::string_view section) {
  if (section.starts_with('?')) section.remove_prefix(1);  // "do not load by default"
  const auto slash = section.find('/');
  const std::string_view prefix = section.substr(0, slash);
  const std::string_view point = slash == std::string_view::npos ? std::string_view() : section.substr(slash + 1);
  const auto found = std::find_if(conventions.begin(), conventions.end(),
                                  [&](const Convention& convention) { return convention.prefix == prefix; });
  if (found == conventions.end()) return {.kind = ProgramKind::other, .names_syscall = false, .attach_point = point};
  // What follows in a cgroup program's section says when it runs, not where it is attached.
  const bool has_point = found->kind != ProgramKind::cgroup && found->kind != ProgramKind::socket;
  return {.kind = found->kind,
          .names_syscall = prefix == "ksyscall" || prefix == "kretsyscall",
          .attach_point = has_point ? point : std::string_view()};
}

}  // namespace nightjar
