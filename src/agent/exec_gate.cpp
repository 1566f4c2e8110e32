// SPDX-License-Identifier: Apache-2.0
#include "agent/exec_gate.hpp"

#include <algorithm>

#include <poll.h>

#include "agent/host.hpp"

namespace nightjar {
namespace {

constexpr std::uint64_t longest_wait_ns = 1'000'000'000;
constexpr std::size_t most_bytes = 8 << 20;
constexpr int look_every_ms = 50;

}  // namespace

FileIdentity identity_of(const wire_file& file) {
  return {file.inode, file.size, file.ctime_ns, file.dev};
}

Result<std::unique_ptr<ExecGate>> ExecGate::make(const ExecutableFacts::Wanted& wanted) {
  return std::unique_ptr<ExecGate>(new ExecGate(NIGHTJAR_TRY(ExecutableFacts::make(wanted))));
}

bool ExecGate::keeps(Bytes bytes, const Origin& origin) {
  FileIdentity file;
  std::string path;
  if (const auto record = checked_record(bytes); record && as_wire<wire_header>(*record).kind == WIRE_PROCESS_EXEC) {
    const auto& exec = as_wire<process_exec>(*record);
    file = identity_of(exec.file);
    path = join_path(text_of(*record, exec.executable));
    facts_->ask(file, exec.task.pid, path);
  }
  if (held_.empty() && (file.inode == 0 || !facts_->pending(file, path))) return false;
  held_.push_back({{bytes.begin(), bytes.end()}, file, std::move(path), boot_clock_ns() + longest_wait_ns, origin});
  bytes_ += bytes.size();
  return true;
}

bool ExecGate::may_go(std::uint64_t now_ns) const {
  const Held& first = held_.front();
  return first.file.inode == 0 || bytes_ > most_bytes || now_ns >= first.until_ns ||
         !facts_->pending(first.file, first.path);
}

void ExecGate::release(bool wait, const Take& take) {
  facts_->clear();
  while (!held_.empty()) {
    if (may_go(boot_clock_ns())) {
      const Held first = std::move(held_.front());
      held_.pop_front();
      bytes_ -= first.record.size();
      take(first.record, first.origin);
      continue;
    }
    if (!wait) return;
    pollfd answered{facts_->fd(), POLLIN, 0};
    poll(&answered, 1, look_every_ms);
    facts_->clear();
  }
}

}  // namespace nightjar
