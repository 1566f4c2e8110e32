// SPDX-License-Identifier: Apache-2.0
// Programs of one object verified on several threads: libbpf loads one after the other.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "nightjar/unique_fd.hpp"

namespace nightjar {

/// libbpf's handlers for the sections of programs that can be loaded apart. They are this process's: while they are
/// set, no other thread may use libbpf. To be set before the object is opened, and to be kept until it is closed or
/// attached.
class SectionHandlers {
 public:
  SectionHandlers();
  SectionHandlers(const SectionHandlers&) = delete;
  SectionHandlers& operator=(const SectionHandlers&) = delete;
  ~SectionHandlers();

 private:
  std::vector<int> ids_;
};

/// While one lives, each program that libbpf is about to load on this thread goes to other threads instead, relocated
/// and with its maps; libbpf loads a program that does nothing, and gives its descriptor to the other in the end.
/// Sections without a handler are loaded as ever.
class ParallelLoad {
 public:
  /// `threads`: how many load, this one included. With less than can be started, fewer do.
  ParallelLoad(unsigned threads, std::string license);
  ParallelLoad(const ParallelLoad&) = delete;
  ParallelLoad& operator=(const ParallelLoad&) = delete;
  ~ParallelLoad();

  /// After bpf_object__load(): loads with the others what is left. Answers the name of the first program, in the
  /// object's order, that the kernel refused; empty: none, and each has its descriptor.
  std::string finish();

  /// For the handlers: 0 or a negative errno.
  static int take(bpf_program* program, bpf_prog_load_opts* options, long cookie) noexcept;

 private:
  struct Job {
    bpf_program* program;
    std::vector<bpf_insn> instructions;
    std::vector<std::byte> functions, lines;  ///< libbpf frees its own when it fails
    bpf_prog_load_opts options;               ///< points into these
    UniqueFd loaded;
  };

  void add(bpf_program* program, bpf_prog_load_opts& options);
  void work();
  void load(Job& job) const;
  void end(bool is_given_up);

  const std::string license_;
  ParallelLoad* const outer_;
  std::mutex mutex_;
  std::condition_variable more_;
  std::deque<Job> jobs_;  ///< in the object's order; those that stand here do not move
  std::size_t next_ = 0;  ///< that nobody has taken
  std::size_t refused_;   ///< the first one; else no job's number
  bool is_complete_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace nightjar
