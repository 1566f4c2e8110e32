// SPDX-License-Identifier: Apache-2.0
// Runs the agent as a user would, collects what it says, and holds every stream against the contract. The agent is
// found through $NIGHTJAR_BIN, or beside these tests; what it should have seen is told by the workloads' own logs.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <sys/types.h>

namespace nightjar::test {

using json = nlohmann::json;
using Strings = std::vector<std::string>;

// ---- where things are, and how much of them

std::string tests_dir();                          ///< the directory of this executable
std::string agent_path();                         ///< $NIGHTJAR_BIN or ../bin/nightjar from there
std::string workload(std::string_view name);      ///< an executable of tests/workloads
bool in_vm();                                     ///< NIGHTJAR_TEST_SCALE=vm: emulated, slow
bool has_machine_alone();                         ///< NIGHTJAR_TEST_WHOLE_MACHINE=1: nobody else works here
bool preempted_under_emulation();                 ///< see SKIP_WHERE_PREEMPTED
int scaled(int full, int vm);                     ///< a count, by NIGHTJAR_TEST_SCALE
std::chrono::milliseconds patience(int seconds);  ///< a timeout, longer in a guest
Strings tier_options();                           ///< --program-tier and --transport, as the environment asks

/// A directory of mode 0755 that is removed with all it holds.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

std::string read_file(const std::string& path);
std::string from_hex(const std::string& text);
std::string from_base64(const std::string& text);

// ---- the agent as a process

struct Launch {
  Strings arguments;         ///< all of the agent's command line, tier options not added
  Strings environment = {};  ///< NAME=value, added to the environment
  std::chrono::milliseconds timeout{patience(60)};
  bool unprivileged = false;         ///< as uid and gid 65534, without capabilities
  bool input_from_caller = false;    ///< keep a pipe to its standard input: send_input()
  std::string stdout_path = {};      ///< write standard output there instead of reading it
  bool close_stdout = false;         ///< start it with no standard output at all
  bool stop_reading_stdout = false;  ///< close our end of the pipe at once: EPIPE
};

struct Outcome {
  std::string out, err;
  int status = -1;  ///< exit status, or 256 + the signal that ended the agent
  bool timed_out = false;
  std::chrono::milliseconds wall{0};
};

/// A running agent. Ended by its pid when it outlives its timeout or this object.
class Agent {
 public:
  explicit Agent(const Launch& launch);
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  /// Reads on until the standard output holds TEXT (true), or the agent or the time ends (false).
  bool wait_for_output(std::string_view text, std::chrono::milliseconds limit);
  void send_signal(int number) const;
  void send_input(std::string_view text) const;
  void close_input();
  Outcome finish();

 private:
  bool pump(std::chrono::steady_clock::time_point until);
  pid_t pid_ = -1;
  int in_ = -1, out_ = -1, err_ = -1;
  std::chrono::steady_clock::time_point begin_, deadline_;
  Outcome outcome_;
};

Outcome run_agent(const Launch& launch);

// ---- events

/// The value at a dotted name ("process.parent.pid"), or null.
const json& at(const json& event, std::string_view dotted);
std::string text_at(const json& event, std::string_view dotted);
/// nightjar.raw.<field>, with its name as one key or as nested objects; null where the field has no bad byte.
const json& raw_at(const json& event, std::string_view dotted);
/// The exact bytes of a string field: nightjar.raw.<field> where it exists, else the string itself.
std::string bytes_at(const json& event, std::string_view dotted);
/// The exact bytes of each element of process.args.
Strings args_of(const json& event);
std::string action_of(const json& event);
/// Of a process; not one that the sensor tells of itself (sensor_started, events_lost, ...).
bool is_process_event(const json& event);
/// Nanoseconds since 1970 of an RFC 3339 time in UTC; -1 when it is not one.
std::int64_t nanoseconds(const std::string& stamp);
bool has_element(const json& array, std::string_view text);

struct Expectations {
  bool losses = false;      ///< events_lost may appear
  bool whole_trees = true;  ///< every process seen is seen from its fork to its exit (watch without filters)
  bool sensor_ends = true;  ///< sensor_started first, sensor_stopped last
};

struct Stream {
  std::vector<json> events;
  Strings problems;  ///< what the contract forbids; a test reports them

  [[nodiscard]] std::vector<json> of(std::string_view action) const;
  [[nodiscard]] std::vector<json> of(std::string_view action, std::int64_t pid) const;
};

/// Parses NDJSON and checks everything that holds of every stream.
Stream parse_stream(const std::string& text, const Expectations& expected);

// ---- `nightjar watch` of a workload

struct Watch {
  Strings options = {"--events", "process"};
  Strings environment = {};
  Expectations expected = {};
  std::chrono::milliseconds timeout{patience(60)};
  bool may_be_absent = false;  ///< exit status 3, this kernel has no hook for it, is an answer, too
};

struct Watched {
  Outcome outcome;
  Stream stream;
  std::vector<json> log;  ///< the workload's own lines

  [[nodiscard]] const json& truth(std::string_view what) const;                     ///< the first such line, or null
  [[nodiscard]] std::vector<json> truths(std::string_view what) const;              ///< all of them
  [[nodiscard]] const json& only(std::string_view action, std::int64_t pid) const;  ///< fails unless there is just one
  [[nodiscard]] std::string skip_reason() const;  ///< empty: the workload could do its work
};

/// Watches workloads/NAME ARGS...; "@LOG" and "@DIR" stand for its log and for an empty directory. Reports every
/// problem of the stream, a timeout, and a status other than 0 (or 77: see skip_reason) as failures.
Watched watch(std::string_view name, Strings arguments, const Watch& how = {});
/// The same for any command.
Watched watch_command(Strings command, const Watch& how = {});

#define SKIP_IF_TOLD(watched) \
  if (const std::string why_ = (watched).skip_reason(); !why_.empty()) GTEST_SKIP() << why_

struct Comparison {
  bool pids = true;        ///< false: the program is in another pid namespace
  bool cwd = true;         ///< false: its directory has no name that /proc could tell
  bool executable = true;  ///< false: likewise
  bool ids = true;         ///< false: the program is in another user namespace
};

/// Everything that a program wrote about itself right after its exec, held against the exec event, or a snapshot of it.
void expect_same(const json& exec_event, const json& report, const Comparison& what = {});

/// Names of the capabilities in a mask as /proc/PID/status has it.
Strings capability_names(const std::string& hex_mask);

// Where the agent uses tracepoints on a kernel that preempts their programs (docs/decisions/0007), the kernel skips
// them for other tasks meanwhile: under emulation, where a program takes milliseconds, a storm misses some, told as
// "missed".
#define SKIP_WHERE_PREEMPTED()                                                                             \
  do {                                                                                                     \
    if (preempted_under_emulation())                                                                       \
      GTEST_SKIP() << "this kernel preempts tracepoint programs: under emulation a storm can miss events"; \
  } while (false)

}  // namespace nightjar::test
