// SPDX-License-Identifier: Apache-2.0
#include "feature_probes.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <span>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <linux/btf.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "handle.hpp"
#include "instructions.hpp"
#include "kernel_refusal.hpp"
#include "kernel_types.hpp"
#include "kernel_version.hpp"
#include "libbpf_log.hpp"
#include "nightjar/unique_fd.hpp"
#include "probe_event.hpp"
#include "text.hpp"
#include "tracefs.hpp"

namespace nightjar {
namespace {

FeatureAnswer answer(const Result<>& result) {
  if (result) return {.answer = Answer::yes, .why = {}};
  const Error& error = result.error();
  const bool is_no =
      error.code() == errc::unsupported || error.code() == errc::not_found || error.code() == errc::rejected;
  return {.answer = is_no ? Answer::no : Answer::unknown, .why = error.what()};
}

/// `fd` is what a system call returned just now.
Result<UniqueFd> opened(std::string_view what, int fd) {
  if (fd < 0) return kernel_refused(what, errno);
  return UniqueFd(fd);
}

Result<UniqueFd> make_map(bpf_map_type type, std::uint32_t key, std::uint32_t value, std::uint32_t entries,
                          const bpf_map_create_opts* options = nullptr) {
  return opened("create a map", ::bpf_map_create(type, nullptr, key, value, entries, options));
}

Result<UniqueFd> load(std::span<const bpf_insn> code, bpf_prog_type type = BPF_PROG_TYPE_TRACEPOINT,
                      bpf_attach_type attach = bpf_attach_type{}, std::uint32_t btf_id = 0) {
  bpf_prog_load_opts options{};
  options.sz = sizeof(options);
  options.attempts = 5;  // EAGAIN: a signal came while the verifier ran
  options.expected_attach_type = attach;
  options.attach_btf_id = btf_id;
  if (type == BPF_PROG_TYPE_KPROBE) options.kern_version = running_kernel_version();
  return opened("load a program", ::bpf_prog_load(type, nullptr, "GPL", code.data(), code.size(), &options));
}

/// Loads "return 0".
Result<UniqueFd> load_nothing(bpf_prog_type type, bpf_attach_type attach = bpf_attach_type{},
                              std::uint32_t btf_id = 0) {
  return load(std::array{set_zero(0), leave}, type, attach, btf_id);
}

/// Attaches by BTF id or name, and detaches at once.
Result<> attach_briefly(const UniqueFd& program, const char* name) {
  NIGHTJAR_CHECK(opened("attach a program", ::bpf_raw_tracepoint_open(name, program.get())));
  return {};
}

Result<> set_program(const UniqueFd& event, const UniqueFd& program) {
  if (::ioctl(event.get(), PERF_EVENT_IOC_SET_BPF, program.get()) != 0) {
    return kernel_refused("attach a program to a perf event", errno);
  }
  return {};
}

Result<> probe_bpf() {
  NIGHTJAR_CHECK(make_map(BPF_MAP_TYPE_ARRAY, 4, 4, 1));
  return {};
}

Result<> probe_btf() {
  const UniqueFd file(::open("/sys/kernel/btf/vmlinux", O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return Error::from_errno("/sys/kernel/btf/vmlinux");
  btf_header header{};
  if (::read(file.get(), &header, sizeof(header)) != sizeof(header) || header.magic != BTF_MAGIC) {
    return Error(errc::unsupported, "/sys/kernel/btf/vmlinux holds no BTF");
  }
  return {};
}

Result<> probe_ring_buffer() {
  NIGHTJAR_CHECK(make_map(BPF_MAP_TYPE_RINGBUF, 0, 0, static_cast<std::uint32_t>(::sysconf(_SC_PAGESIZE))));
  return {};
}

Result<> probe_perf_buffer() {
  NIGHTJAR_CHECK(make_map(BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 1));
  perf_event_attr attributes{};
  attributes.size = sizeof(attributes);
  attributes.type = PERF_TYPE_SOFTWARE;
  attributes.config = PERF_COUNT_SW_BPF_OUTPUT;
  attributes.sample_type = PERF_SAMPLE_RAW;
  NIGHTJAR_CHECK(opened("open a perf event", static_cast<int>(::syscall(SYS_perf_event_open, &attributes, -1, 0, -1,
                                                                        PERF_FLAG_FD_CLOEXEC))));
  return {};
}

Result<> probe_raw_tracepoint() {
  const UniqueFd program = NIGHTJAR_TRY(load_nothing(BPF_PROG_TYPE_RAW_TRACEPOINT));
  return attach_briefly(program, "sched_process_exec");
}

Result<> probe_kprobe() {
  const UniqueFd program = NIGHTJAR_TRY(load_nothing(BPF_PROG_TYPE_KPROBE));
  Error last(errc::unsupported, "no function to probe");
  for (const char* function : {"bpf_fentry_test1", "do_exit"}) {
    auto event = open_probe({.target = function, .pid = std::nullopt});
    if (event) return set_program(*event, program);
    last = std::move(event).error();
  }
  return last;
}

Result<> probe_tracepoint() {
  const UniqueFd program = NIGHTJAR_TRY(load_nothing(BPF_PROG_TYPE_TRACEPOINT));
  const Tracefs tracefs = NIGHTJAR_TRY(Tracefs::open());
  const std::uint64_t id = NIGHTJAR_TRY(tracefs.event_id("sched/sched_process_exec"));
  return may_open_tracepoint(id);
}

Result<> probe_global_data() {
  const UniqueFd map = NIGHTJAR_TRY(make_map(BPF_MAP_TYPE_ARRAY, 4, 32, 1));
  const std::array code{instruction(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_VALUE, 0, map.get()),
                        instruction(0, 0, 0, 0, 16), instruction(BPF_ST | BPF_MEM | BPF_DW, 1, 0, 0, 42), set_zero(0),
                        leave};
  NIGHTJAR_CHECK(load(code));
  return {};
}

Result<> probe_large_programs() {
  std::vector<bpf_insn> code(4096, set_zero(0));  // BPF_MAXINSNS
  code.push_back(leave);
  NIGHTJAR_CHECK(load(code));
  return {};
}

Result<> probe_bounded_loops() {
  const std::array code{instruction(BPF_ALU64 | BPF_MOV | BPF_K, 1, 0, 0, 10),
                        instruction(BPF_ALU64 | BPF_SUB | BPF_K, 1, 0, 0, 1),
                        instruction(BPF_JMP | BPF_JNE | BPF_K, 1, 0, -2, 0), set_zero(0), leave};
  NIGHTJAR_CHECK(load(code));
  return {};
}

Result<> probe_probe_read_kernel() {
  const std::array code{instruction(BPF_ALU64 | BPF_MOV | BPF_X, 1, BPF_REG_10, 0, 0),
                        instruction(BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, -8),
                        instruction(BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 8),
                        set_zero(3),
                        instruction(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_probe_read_kernel),
                        set_zero(0),
                        leave};
  NIGHTJAR_CHECK(load(code));
  return {};
}

Result<> probe_boot_clock() {
  const std::array code{instruction(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_ktime_get_boot_ns), set_zero(0), leave};
  NIGHTJAR_CHECK(load(code));
  return {};
}

Result<> probe_mapped_arrays() {
  bpf_map_create_opts options{};
  options.sz = sizeof(options);
  options.map_flags = BPF_F_MMAPABLE;
  NIGHTJAR_CHECK(make_map(BPF_MAP_TYPE_ARRAY, 4, 8, 1, &options));
  return {};
}

Result<> probe_task_storage() {
  const LibbpfCapture quiet;
  const BtfHandle types(::btf__new_empty());
  if (!types) return Error::from_errno("make BTF");
  const int id = ::btf__add_int(types.get(), "int", 4, BTF_INT_SIGNED);
  std::uint32_t size = 0;
  const void* bytes = ::btf__raw_data(types.get(), &size);
  if (id < 0 || bytes == nullptr) return Error(errc::system, "make BTF");
  const UniqueFd loaded = NIGHTJAR_TRY(opened("load BTF", ::bpf_btf_load(bytes, size, nullptr)));
  bpf_map_create_opts options{};
  options.sz = sizeof(options);
  options.map_flags = BPF_F_NO_PREALLOC;
  options.btf_fd = static_cast<std::uint32_t>(loaded.get());
  options.btf_key_type_id = static_cast<std::uint32_t>(id);
  options.btf_value_type_id = static_cast<std::uint32_t>(id);
  NIGHTJAR_CHECK(make_map(BPF_MAP_TYPE_TASK_STORAGE, 4, 4, 0, &options));
  return {};
}

Result<std::uint32_t> first_function(const KernelTypes& types, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (const std::uint32_t id = types.function(name); id != 0) return id;
  }
  return Error(errc::unsupported, std::string("the kernel's BTF lacks function ") + *names.begin());
}

Result<> probe_tp_btf(const KernelTypes& types) {
  const std::uint32_t id = types.type_definition("btf_trace_sched_process_exec");
  if (id == 0) return Error(errc::unsupported, "the kernel's BTF lacks btf_trace_sched_process_exec");
  const UniqueFd program = NIGHTJAR_TRY(load_nothing(BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, id));
  return attach_briefly(program, nullptr);
}

Result<> probe_fentry(const KernelTypes& types) {
  const std::uint32_t id = NIGHTJAR_TRY(first_function(types, {"bpf_fentry_test1", "security_bprm_check", "do_exit"}));
  const UniqueFd program = NIGHTJAR_TRY(load_nothing(BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, id));
  return attach_briefly(program, nullptr);  // some architectures load these and have no trampoline to attach them with
}

Result<> probe_task_iterator(const KernelTypes& types) {
  const std::uint32_t id = NIGHTJAR_TRY(first_function(types, {"bpf_iter_task"}));
  const UniqueFd program = NIGHTJAR_TRY(load_nothing(BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, id));
  NIGHTJAR_CHECK(opened("make an iterator", ::bpf_link_create(program.get(), 0, BPF_TRACE_ITER, nullptr)));
  return {};
}

Result<> probe_lsm(const KernelTypes& types) {
  const std::uint32_t id = NIGHTJAR_TRY(first_function(types, {"bpf_lsm_quota_on", "bpf_lsm_bprm_committed_creds"}));
  const UniqueFd program = NIGHTJAR_TRY(load_nothing(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, id));
  return attach_briefly(program, nullptr);
}

/// Two things that kernel commit a46023d5616e ("tracing: Guard __DECLARE_TRACE() use of __DO_TRACE_CALL() with
/// SRCU-fast") (in v7.0) left in BTF, together: kernels before 6.13 have the first for another reason.
Result<> probe_preemptible_tracepoints(const KernelTypes& types) {
  if (types.variable("tracepoint_srcu_srcu_data") == 0)
    return Error(errc::unsupported, "tracepoints run with preemption off");
  NIGHTJAR_CHECK(first_function(types, {"init_srcu_struct_fast"}));
  return {};
}

/// Linux kernel commit a35b9af4ec2c ("bpf: Add a kfunc for generic type cast") (in v6.2).
FeatureAnswer probe_plain_loads(const KernelTypes& types) {
  const auto function = first_function(types, {"bpf_rdonly_cast"});
  if (!function) return answer(function.error());
  const std::uint32_t eight_bytes = types.structure("timespec64");
  if (eight_bytes == 0) return answer(Error(errc::unsupported, "the kernel's BTF lacks struct timespec64"));
  const std::array code{instruction(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_current_task),
                        instruction(BPF_ALU64 | BPF_MOV | BPF_X, 1, BPF_REG_0, 0, 0),
                        instruction(BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, static_cast<int>(eight_bytes)),
                        instruction(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, 0, static_cast<int>(*function)),
                        instruction(BPF_LDX | BPF_MEM | BPF_DW, 1, BPF_REG_0, 0, 0),
                        instruction(BPF_LDX | BPF_MEM | BPF_H, 1, BPF_REG_0, 0, 0),
                        set_zero(0),
                        leave};
  const auto loaded = load(code);
  FeatureAnswer given = answer(loaded ? Result<>{} : Result<>(loaded.error()));
  if (loaded) given.plain_loads = {.function = *function, .eight_bytes = eight_bytes};
  return given;
}

/// Linux kernel commit fba1a1c6c912 ("bpf: Convert hash map to bpf_mem_alloc.") (in v6.1) is not asked by a load: every
/// kernel makes such a map, and what 6.0 and older do with it in a program that interrupted the allocator shows too
/// late.
Result<> probe_on_demand_maps(const KernelTypes& types) {
  if (!types.has_member("bpf_htab", "ma"))
    return Error(errc::unsupported, "hash tables have no allocator of their own for elements");
  return {};
}

std::map<Feature, FeatureAnswer> probe_typed() {
  std::map<Feature, FeatureAnswer> answers;
  auto types = KernelTypes::load();
  const auto ask = [&](Feature feature, Result<> (*run)(const KernelTypes&)) {
    answers[feature] = answer(types ? run(*types) : Result<>(types.error()));
  };
  ask(Feature::tp_btf, probe_tp_btf);
  ask(Feature::fentry, probe_fentry);
  ask(Feature::task_iterator, probe_task_iterator);
  ask(Feature::lsm, probe_lsm);
  ask(Feature::preemptible_tracepoints, probe_preemptible_tracepoints);
  answers[Feature::plain_loads] = types ? probe_plain_loads(*types) : answer(types.error());
  ask(Feature::on_demand_maps, probe_on_demand_maps);
  return answers;
}

}  // namespace

std::map<Feature, FeatureAnswer> probe(Feature feature) {
  const LibbpfCapture quiet;
  switch (feature) {
    case Feature::bpf:
      return {{feature, answer(probe_bpf())}};
    case Feature::btf:
      return {{feature, answer(probe_btf())}};
    case Feature::ring_buffer:
      return {{feature, answer(probe_ring_buffer())}};
    case Feature::perf_buffer:
      return {{feature, answer(probe_perf_buffer())}};
    case Feature::raw_tracepoint:
      return {{feature, answer(probe_raw_tracepoint())}};
    case Feature::kprobe:
      return {{feature, answer(probe_kprobe())}};
    case Feature::tracepoint:
      return {{feature, answer(probe_tracepoint())}};
    case Feature::global_data:
      return {{feature, answer(probe_global_data())}};
    case Feature::large_programs:
      return {{feature, answer(probe_large_programs())}};
    case Feature::bounded_loops:
      return {{feature, answer(probe_bounded_loops())}};
    case Feature::probe_read_kernel:
      return {{feature, answer(probe_probe_read_kernel())}};
    case Feature::mapped_arrays:
      return {{feature, answer(probe_mapped_arrays())}};
    case Feature::boot_clock:
      return {{feature, answer(probe_boot_clock())}};
    case Feature::task_storage:
      return {{feature, answer(probe_task_storage())}};
    case Feature::tp_btf:
    case Feature::fentry:
    case Feature::task_iterator:
    case Feature::lsm:
    case Feature::preemptible_tracepoints:
    case Feature::plain_loads:
    case Feature::on_demand_maps:
      return probe_typed();
  }
  return {};
}

}  // namespace nightjar
