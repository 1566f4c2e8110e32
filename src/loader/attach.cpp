// SPDX-License-Identifier: Apache-2.0
#include "attach.hpp"

#include <cerrno>
#include <charconv>
#include <iterator>
#include <string_view>
#include <utility>

#include "kernel_refusal.hpp"
#include "kprobe.hpp"
#include "libbpf_log.hpp"
#include "text.hpp"

namespace nightjar {
namespace {

#if defined(__x86_64__)
constexpr std::string_view syscall_prefix = "__x64_";
#elif defined(__aarch64__)
constexpr std::string_view syscall_prefix = "__arm64_";
#else
constexpr std::string_view syscall_prefix = "";
#endif

Error not_here(const std::string& what) {
  return {errc::unsupported, what + " does not exist in this kernel", ENOENT};
}

/// The link that libbpf returned, or why not. A point that is not there is unsupported with ENOENT.
Result<LinkHandle> linked(bpf_link* link, const std::string& what, const LibbpfCapture& capture) {
  if (link != nullptr) return LinkHandle(link);
  const int sys = errno;
  if (sys == ENOENT) return not_here(what);
  return kernel_refused("attach " + what, sys).with_detail(capture.warnings());
}

struct FunctionOffset {
  std::string function;
  std::size_t offset = 0;
};

/// "function" or "function+0x1f".
Result<FunctionOffset> parse_function(const std::string& point) {
  const auto plus = point.find('+');
  if (plus == std::string::npos) return FunctionOffset{.function = point};
  std::string_view digits = std::string_view(point).substr(plus + 1);
  const int base = digits.starts_with("0x") ? 16 : 10;
  if (base == 16) digits.remove_prefix(2);
  FunctionOffset parsed{.function = point.substr(0, plus)};
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), parsed.offset, base);
  if (result.ec != std::errc() || result.ptr != digits.data() + digits.size()) {
    return Error(errc::invalid, "attach point '" + point + "': the offset is no number");
  }
  return parsed;
}

Result<LinkHandle> attach_kprobe(bpf_program* program, bool at_return, const std::string& point,
                                 const LibbpfCapture& capture) {
  // Without the PMU libbpf would write probes into tracefs, where they outlive a crash.
  NIGHTJAR_CHECK(kprobe_pmu());
  const FunctionOffset where = NIGHTJAR_TRY(parse_function(point));
  bpf_kprobe_opts options{};
  options.sz = sizeof(options);
  options.offset = where.offset;
  options.retprobe = at_return;
  auto link =
      linked(::bpf_program__attach_kprobe_opts(program, where.function.c_str(), &options), "kprobe/" + point, capture);
  // Kernels before 5.4 or so answer EINVAL for a function that they do not have; both are unsupported here.
  return link;
}

}  // namespace

bool is_fixed_at_load(ProgramKind kind) {
  switch (kind) {
    case ProgramKind::tp_btf:
    case ProgramKind::fentry:
    case ProgramKind::fexit:
    case ProgramKind::fmod_ret:
    case ProgramKind::lsm:
    case ProgramKind::iterator:
      return true;
    default:
      return false;
  }
}

std::vector<std::string> spellings(const std::string& point, ProgramKind kind, bool is_syscall) {
  const bool is_function = kind == ProgramKind::kprobe || kind == ProgramKind::kretprobe ||
                           kind == ProgramKind::fentry || kind == ProgramKind::fexit || kind == ProgramKind::fmod_ret;
  if (!is_syscall || !is_function) return {point};
  const std::string bare = point.starts_with("sys_") ? point.substr(4) : point;
  std::vector<std::string> names;
  if (!syscall_prefix.empty()) names.push_back(std::string(syscall_prefix) + "sys_" + bare);
  names.push_back("sys_" + bare);
  names.push_back("SyS_" + bare);
  return names;
}

Result<LinkHandle> Attacher::attach_tracepoint(bpf_program* program, const std::string& event) {
  if (!tracefs_) tracefs_ = NIGHTJAR_TRY(Tracefs::open());
  auto id = tracefs_->event_id(event);
  if (!id) {
    if (id.error().code() == errc::not_found) return not_here("tracepoint/" + event);
    return std::move(id).error();
  }
  UniqueFd perf = NIGHTJAR_TRY(open_tracepoint(*id));
  const LibbpfCapture capture;
  auto link = linked(::bpf_program__attach_perf_event(program, perf.get()), "tracepoint/" + event, capture);
  if (link) (void)perf.release();  // the link closes it
  return link;
}

Result<LinkHandle> Attacher::attach_at(bpf_program* program, ProgramKind kind, const std::string& point) {
  const LibbpfCapture capture;
  const std::string hook = std::string(to_string(kind)) + "/" + point;
  switch (kind) {
    case ProgramKind::kprobe:
      return attach_kprobe(program, false, point, capture);
    case ProgramKind::kretprobe:
      return attach_kprobe(program, true, point, capture);
    case ProgramKind::tracepoint:
      return attach_tracepoint(program, point);
    case ProgramKind::raw_tracepoint:
      return linked(::bpf_program__attach_raw_tracepoint(program, point.c_str()), hook, capture);
    case ProgramKind::tp_btf:
    case ProgramKind::fentry:
    case ProgramKind::fexit:
    case ProgramKind::fmod_ret:
      return linked(::bpf_program__attach_trace(program), hook, capture);
    case ProgramKind::lsm:
      return linked(::bpf_program__attach_lsm(program), hook, capture);
    case ProgramKind::iterator:
      return linked(::bpf_program__attach_iter(program, nullptr), hook, capture);
    case ProgramKind::other:
      break;
  }
  return Error(errc::invalid, "programs of this kind are not attached by the library");
}

Result<Attachment> Attacher::attach(bpf_program* program, ProgramKind kind, const std::vector<std::string>& points,
                                    bool is_syscall, bool wants_all) {
  Attachment attachment;
  if (kind == ProgramKind::other) return attachment;
  std::vector<Error> reasons;
  std::vector<std::string> hooks;
  for (const std::string& point : points) {
    bool attached = false;
    for (const std::string& name : spellings(point, kind, is_syscall)) {
      auto link = attach_at(program, kind, name);
      if (link) {
        attachment.links.push_back(std::move(*link));
        hooks.push_back(name);
        attached = true;
        break;
      }
      if (link.error().sys() != ENOENT && link.error().code() != errc::unsupported) return std::move(link).error();
      reasons.push_back(std::move(link).error());
    }
    if (attached && !wants_all) break;
    if (!attached && wants_all) break;
  }
  const bool complete = wants_all ? hooks.size() == points.size() : !hooks.empty();
  if (complete) {
    attachment.hook = std::string(to_string(kind)) + "/" + text::join(hooks, ",");
    return attachment;
  }
  if (reasons.size() == 1) return std::move(reasons.front());
  return Error(errc::unsupported, "none of its attach points works here").because(std::move(reasons));
}

}  // namespace nightjar
