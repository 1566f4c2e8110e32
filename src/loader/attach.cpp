// SPDX-License-Identifier: Apache-2.0
#include "attach.hpp"

#include <cerrno>
#include <charconv>
#include <iterator>
#include <string_view>
#include <utility>

#include <fcntl.h>

#include <sys/socket.h>

#include "file_symbol.hpp"
#include "kernel_refusal.hpp"
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

/// What libbpf's link holds, or why there is none. A point that is not there is unsupported with ENOENT.
Result<Hold> held(bpf_link* link, const std::string& what, const LibbpfCapture& capture) {
  if (link != nullptr) return Hold{.probe = {}, .socket = {}, .link = LinkHandle(link)};
  const int sys = errno;
  if (sys == ENOENT) return not_here(what);
  return kernel_refused("attach " + what, sys).with_detail(capture.warnings());
}

/// A program on a perf event, which the link owns from then on.
Result<Hold> attach_to_event(bpf_program* program, UniqueFd event, const std::string& what) {
  const LibbpfCapture capture;
  auto hold = held(::bpf_program__attach_perf_event(program, event.get()), what, capture);
  if (hold) (void)event.release();
  return hold;
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

Result<FilteredSocket> FilteredSocket::attach(int socket, int program_fd) {
  UniqueFd copy(::fcntl(socket, F_DUPFD_CLOEXEC, 3));
  if (!copy.valid()) return Error(errc::invalid, "descriptor " + std::to_string(socket) + " is not open", errno);
  if (::setsockopt(copy.get(), SOL_SOCKET, SO_ATTACH_BPF, &program_fd, sizeof(program_fd)) != 0) {
    return kernel_refused("attach a filter to descriptor " + std::to_string(socket), errno);
  }
  return FilteredSocket(std::move(copy));
}

FilteredSocket::~FilteredSocket() {
  const int unused = 0;
  if (socket_.valid()) (void)::setsockopt(socket_.get(), SOL_SOCKET, SO_DETACH_BPF, &unused, sizeof(unused));
}

Result<Tracefs*> Attacher::tracefs() {
  if (!tracefs_) tracefs_ = NIGHTJAR_TRY(Tracefs::open(options_.mount_tracefs_at));
  return &*tracefs_;
}

Result<Hold> Attacher::attach_tracepoint(const AttachRequest& request, const std::string& event) {
  const Tracefs* tracefs = NIGHTJAR_TRY(this->tracefs());
  auto id = tracefs->event_id(event);
  if (!id) {
    if (id.error().code() == errc::not_found) return not_here("tracepoint/" + event);
    return std::move(id).error();
  }
  return attach_to_event(request.program, NIGHTJAR_TRY(open_tracepoint(*id)), "tracepoint/" + event);
}

Result<Hold> Attacher::attach_probe(const AttachRequest& request, const ProbePlace& place) {
  // libbpf would fall back to tracefs under names of its own, which nobody removes when a process dies.
  bool through_tracefs = options_.probes == ProbeWay::tracefs;
  if (options_.probes == ProbeWay::automatic) {
    if (auto pmu = check_probe_pmu(place.in_file); !pmu) {
      through_tracefs = true;
      remarks_.push_back(place.text() + " goes through tracefs: " + pmu.error().what());
    }
  }
  if (!through_tracefs) return attach_to_event(request.program, NIGHTJAR_TRY(open_probe(place)), place.text());
  const Tracefs* tracefs = NIGHTJAR_TRY(this->tracefs());
  TracefsProbe probe = NIGHTJAR_TRY(TracefsProbe::make(place, *tracefs));
  UniqueFd event = NIGHTJAR_TRY(probe.open(place));
  Hold hold = NIGHTJAR_TRY(attach_to_event(request.program, std::move(event), place.text()));
  hold.probe.emplace(std::move(probe));
  return hold;
}

Result<Hold> Attacher::attach_kprobe(const AttachRequest& request, const std::string& point) {
  FunctionOffset where = NIGHTJAR_TRY(parse_function(point));
  return attach_probe(request, {.in_file = false,
                                .target = std::move(where.function),
                                .offset = where.offset,
                                .at_return = request.kind == ProgramKind::kretprobe,
                                .pid = std::nullopt});
}

Result<Hold> Attacher::attach_uprobe(const AttachRequest& request, const std::string& point) {
  FilePoint where = NIGHTJAR_TRY(parse_file_point(point));
  std::uint64_t offset = where.offset;
  if (!where.function.empty()) offset += NIGHTJAR_TRY(function_offset(where.path, where.function));
  return attach_probe(request, {.in_file = true,
                                .target = std::move(where.path),
                                .offset = offset,
                                .at_return = request.kind == ProgramKind::uretprobe,
                                .pid = request.pid});
}

Result<Hold> Attacher::attach_usdt(const AttachRequest& request, const std::string& point) const {
  NIGHTJAR_CHECK(check_probe_pmu(true));  // without it libbpf would use tracefs, see attach_probe()
  const FilePoint where = NIGHTJAR_TRY(parse_file_point(point));
  const auto colon = where.function.find(':');
  if (colon == std::string::npos) {
    return Error(errc::invalid, "attach point " + text::quoted(point) + " is not of the form PATH:provider:name");
  }
  const LibbpfCapture capture;
  return held(::bpf_program__attach_usdt(request.program, request.pid.value_or(-1), where.path.c_str(),
                                         where.function.substr(0, colon).c_str(),
                                         where.function.substr(colon + 1).c_str(), nullptr),
              "usdt/" + point, capture);
}

Result<Hold> Attacher::attach_cgroup(const AttachRequest& request, const std::string& path) const {
  const UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.valid()) {
    if (errno == ENOENT || errno == ENOTDIR) return not_here("cgroup/" + path);
    return Error::from_errno("cgroup " + path);
  }
  const LibbpfCapture capture;
  return held(::bpf_program__attach_cgroup(request.program, folder.get()), "cgroup/" + path, capture);
}

Result<Hold> Attacher::attach_at(const AttachRequest& request, const std::string& point) {
  const LibbpfCapture capture;
  const std::string hook = std::string(to_string(request.kind)) + "/" + point;
  bpf_program* program = request.program;
  switch (request.kind) {
    case ProgramKind::kprobe:
    case ProgramKind::kretprobe:
      return attach_kprobe(request, point);
    case ProgramKind::uprobe:
    case ProgramKind::uretprobe:
      return attach_uprobe(request, point);
    case ProgramKind::usdt:
      return attach_usdt(request, point);
    case ProgramKind::tracepoint:
      return attach_tracepoint(request, point);
    case ProgramKind::cgroup:
      return attach_cgroup(request, point);
    case ProgramKind::raw_tracepoint:
      return held(::bpf_program__attach_raw_tracepoint(program, point.c_str()), hook, capture);
    case ProgramKind::tp_btf:
    case ProgramKind::fentry:
    case ProgramKind::fexit:
    case ProgramKind::fmod_ret:
      return held(::bpf_program__attach_trace(program), hook, capture);
    case ProgramKind::lsm:
      return held(::bpf_program__attach_lsm(program), hook, capture);
    case ProgramKind::iterator:
      return held(::bpf_program__attach_iter(program, nullptr), hook, capture);
    case ProgramKind::socket:
    case ProgramKind::other:
      break;
  }
  return Error(errc::invalid, "programs of this kind are not attached by the library");
}

Result<Attachment> Attacher::attach(const AttachRequest& request) {
  Attachment attachment;
  if (request.kind == ProgramKind::socket && request.socket) {
    Hold hold;
    hold.socket = NIGHTJAR_TRY(FilteredSocket::attach(*request.socket, ::bpf_program__fd(request.program)));
    attachment.holds.push_back(std::move(hold));
    attachment.hook = "socket/" + std::to_string(*request.socket);
    return attachment;
  }
  if (request.kind == ProgramKind::other || request.points.empty()) return attachment;
  std::vector<Error> reasons;
  std::vector<std::string> hooks;
  for (const std::string& point : request.points) {
    bool attached = false;
    for (const std::string& name : spellings(point, request.kind, request.is_syscall)) {
      auto hold = attach_at(request, name);
      if (hold) {
        attachment.holds.push_back(std::move(*hold));
        hooks.push_back(name);
        attached = true;
        break;
      }
      if (hold.error().sys() != ENOENT && hold.error().code() != errc::unsupported) return std::move(hold).error();
      reasons.push_back(std::move(hold).error());
    }
    if (attached && !request.wants_all) break;
    if (!attached && request.wants_all) break;
  }
  const bool complete = request.wants_all ? hooks.size() == request.points.size() : !hooks.empty();
  if (complete) {
    attachment.hook = std::string(to_string(request.kind)) + "/" + text::join(hooks, ",");
    return attachment;
  }
  if (reasons.size() == 1) return std::move(reasons.front());
  return Error(errc::unsupported, "none of its attach points works here").because(std::move(reasons));
}

}  // namespace nightjar
