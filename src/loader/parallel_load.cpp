// SPDX-License-Identifier: Apache-2.0
#include "parallel_load.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include <linux/bpf.h>

#include "instructions.hpp"
#include "kind_traits.hpp"
#include "signals_blocked.hpp"

namespace nightjar {
namespace {

constexpr std::size_t none = std::numeric_limits<std::size_t>::max();

thread_local ParallelLoad* current = nullptr;

/// What libbpf's own handlers do for these is done before the load: the kind comes with the handler, the attach target
/// is set by name. Not those of programs that may sleep, whose flag its handlers set.
constexpr std::pair<const char*, ProgramKind> sections[] = {
    {"raw_tp+", ProgramKind::raw_tracepoint}, {"raw_tracepoint+", ProgramKind::raw_tracepoint},
    {"tp_btf+", ProgramKind::tp_btf},         {"fentry+", ProgramKind::fentry},
    {"fexit+", ProgramKind::fexit},           {"kprobe+", ProgramKind::kprobe},
    {"kretprobe+", ProgramKind::kretprobe},   {"tracepoint+", ProgramKind::tracepoint},
    {"tp+", ProgramKind::tracepoint},         {"iter+", ProgramKind::iterator},
};

std::vector<std::byte> copied(const void* from, std::size_t size) {
  if (from == nullptr) return {};
  const auto* bytes = static_cast<const std::byte*>(from);
  return {bytes, bytes + size};
}

}  // namespace

SectionHandlers::SectionHandlers() {
  // libbpf frees its list with the last handler, and goes on using it: one always stays, of a section that no object
  // has.
  static const int stays =
      ::libbpf_register_prog_handler("nightjar.no_such_section", BPF_PROG_TYPE_UNSPEC, bpf_attach_type{}, nullptr);
  if (stays < 0) return;
  libbpf_prog_handler_opts options{};
  options.sz = sizeof(options);
  options.prog_prepare_load_fn = ParallelLoad::take;
  for (const auto& [section, kind] : sections) {
    const auto traits = traits_of(kind);
    if (!traits) continue;
    const int id = ::libbpf_register_prog_handler(section, traits->type, traits->attach_type, &options);
    if (id >= 0) ids_.push_back(id);  // without one libbpf does the work alone
  }
}

SectionHandlers::~SectionHandlers() {
  for (const int id : ids_) ::libbpf_unregister_prog_handler(id);
}

ParallelLoad::ParallelLoad(unsigned threads, std::string license)
    : license_(std::move(license)), outer_(current), refused_(none) {
  const SignalsBlocked blocked;
  try {
    for (unsigned others = 1; others < threads; ++others) threads_.emplace_back([this] { work(); });
  } catch (const std::system_error&) {  // finish() loads by itself
  }
  current = this;
}

ParallelLoad::~ParallelLoad() {
  end(true);
  current = outer_;
}

int ParallelLoad::take(bpf_program* program, bpf_prog_load_opts* options, long /*cookie*/) noexcept {
  if (current == nullptr || options->fd_array != nullptr) return 0;  // descriptors that libbpf may close
  try {
    current->add(program, *options);
  } catch (...) {  // out of memory; C frames below must not be unwound
    return -ENOMEM;
  }
  options->func_info = options->line_info = nullptr;
  options->func_info_cnt = options->line_info_cnt = 0;
  std::array stand_in{set_zero(0), leave};  // "return 0"
  return ::bpf_program__set_insns(program, stand_in.data(), stand_in.size());
}

void ParallelLoad::add(bpf_program* program, bpf_prog_load_opts& options) {
  Job job{.program = program, .instructions = {}, .functions = {}, .lines = {}, .options = {}, .loaded = {}};
  const bpf_insn* first = ::bpf_program__insns(program);
  job.instructions.assign(first, first + ::bpf_program__insn_cnt(program));
  // The libbpf that runs may be newer or older than the one that this was compiled with.
  const std::size_t size = std::min(options.sz, sizeof(job.options));
  std::memcpy(&job.options, &options, size);
  job.options.sz = size;
  job.functions = copied(options.func_info, std::size_t{options.func_info_cnt} * options.func_info_rec_size);
  job.lines = copied(options.line_info, std::size_t{options.line_info_cnt} * options.line_info_rec_size);
  if (options.func_info != nullptr) job.options.func_info = job.functions.data();
  if (options.line_info != nullptr) job.options.line_info = job.lines.data();
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  more_.notify_one();
}

void ParallelLoad::load(Job& job) const {
  job.loaded.reset(::bpf_prog_load(::bpf_program__type(job.program), ::bpf_program__name(job.program), license_.c_str(),
                                   job.instructions.data(), job.instructions.size(), &job.options));
  job.instructions = {};
  job.functions = job.lines = {};
}

void ParallelLoad::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    more_.wait(lock, [this] { return is_complete_ || next_ < jobs_.size() || refused_ != none; });
    // What comes after one that was refused is of no use any more; what comes before it somebody has taken.
    if (next_ >= jobs_.size() || refused_ != none) return;
    const std::size_t number = next_++;
    Job& job = jobs_[number];
    lock.unlock();
    load(job);
    lock.lock();
    if (job.loaded.valid()) continue;
    refused_ = std::min(refused_, number);
    more_.notify_all();
  }
}

void ParallelLoad::end(bool is_given_up) {
  {
    const std::lock_guard lock(mutex_);
    is_complete_ = true;
    if (is_given_up) next_ = jobs_.size();
  }
  more_.notify_all();
  if (!is_given_up) work();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

std::string ParallelLoad::finish() {
  end(false);
  if (refused_ != none) return ::bpf_program__name(jobs_[refused_].program);
  for (const Job& job : jobs_) {
    if (::dup3(job.loaded.get(), ::bpf_program__fd(job.program), O_CLOEXEC) < 0)
      return ::bpf_program__name(job.program);
  }
  return {};
}

}  // namespace nightjar
