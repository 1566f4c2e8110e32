// SPDX-License-Identifier: Apache-2.0
// Attaching loaded programs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "handle.hpp"
#include "nightjar/program.hpp"
#include "nightjar/program_group.hpp"
#include "nightjar/result.hpp"
#include "probe_event.hpp"
#include "tracefs.hpp"

namespace nightjar {

/// Kinds whose attach point is part of the program once it is loaded.
bool is_fixed_at_load(ProgramKind kind);

/// The names under which `point` may be known here: for a system call the architecture's wrapper first, then the older
/// spellings; else itself.
std::vector<std::string> spellings(const std::string& point, ProgramKind kind, bool is_syscall);

/// A socket with a filter; the destructor takes the filter off.
class FilteredSocket {
 public:
  static Result<FilteredSocket> attach(int socket, int program_fd);
  FilteredSocket(FilteredSocket&&) noexcept = default;
  FilteredSocket& operator=(FilteredSocket&&) noexcept = default;
  ~FilteredSocket();

 private:
  explicit FilteredSocket(UniqueFd socket) : socket_(std::move(socket)) {}
  UniqueFd socket_;
};

/// What keeps a program attached; its destructor detaches. Members go in reverse: a probe after its last user.
struct Hold {
  std::optional<TracefsProbe> probe;
  std::optional<FilteredSocket> socket;
  LinkHandle link;
};

struct Attachment {
  std::string hook;  ///< "kind/point", several points separated by commas
  std::vector<Hold> holds;
};

struct AttachRequest {
  bpf_program* program = nullptr;
  ProgramKind kind = ProgramKind::other;
  std::vector<std::string> points;  ///< not empty except for kinds other and socket
  bool is_syscall = false;
  bool wants_all = false;
  std::optional<int> pid, socket;
};

/// Attaches programs; holds what they share (a tracefs handle, opened when first needed).
class Attacher {
 public:
  Attacher(const GroupOptions& options, std::vector<std::string>& remarks) : options_(options), remarks_(remarks) {}

  /// Fails with unsupported when none (or, with wants_all, any) of the points exists, denied, or as the kernel says;
  /// then nothing of this program stays attached.
  Result<Attachment> attach(const AttachRequest& request);

 private:
  Result<Hold> attach_at(const AttachRequest& request, const std::string& point);
  Result<Hold> attach_kprobe(const AttachRequest& request, const std::string& point);
  Result<Hold> attach_uprobe(const AttachRequest& request, const std::string& point);
  Result<Hold> attach_usdt(const AttachRequest& request, const std::string& point) const;
  Result<Hold> attach_probe(const AttachRequest& request, const ProbePlace& place);
  Result<Hold> attach_tracepoint(const AttachRequest& request, const std::string& event);
  Result<Hold> attach_cgroup(const AttachRequest& request, const std::string& path) const;
  Result<Tracefs*> tracefs();

  const GroupOptions& options_;
  std::vector<std::string>& remarks_;
  std::optional<Tracefs> tracefs_;
};

}  // namespace nightjar
