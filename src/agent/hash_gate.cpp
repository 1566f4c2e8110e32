// SPDX-License-Identifier: Apache-2.0
#include "agent/hash_gate.hpp"

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

Result<std::unique_ptr<HashGate>> HashGate::make() {
  return std::unique_ptr<HashGate>(new HashGate(NIGHTJAR_TRY(FileHashes::make())));
}

bool HashGate::keeps(Bytes bytes) {
  FileIdentity file;
  if (const auto record = checked_record(bytes); record && as_wire<wire_header>(*record).kind == WIRE_PROCESS_EXEC) {
    const auto& exec = as_wire<process_exec>(*record);
    file = identity_of(exec.file);
    hashes_->ask(file, exec.task.pid, join_path(text_of(*record, exec.executable)));
  }
  if (held_.empty() && (file.inode == 0 || hashes_->state(file) != FileHashes::State::pending)) return false;
  held_.push_back({{bytes.begin(), bytes.end()}, file, boot_clock_ns() + longest_wait_ns});
  bytes_ += bytes.size();
  return true;
}

bool HashGate::may_go(std::uint64_t now_ns) const {
  const Held& first = held_.front();
  return first.file.inode == 0 || bytes_ > most_bytes || now_ns >= first.until_ns ||
         hashes_->state(first.file) != FileHashes::State::pending;
}

void HashGate::release(bool wait, const Take& take) {
  hashes_->clear();
  while (!held_.empty()) {
    if (may_go(boot_clock_ns())) {
      const Held first = std::move(held_.front());
      held_.pop_front();
      bytes_ -= first.record.size();
      take(first.record);
      continue;
    }
    if (!wait) return;
    pollfd answered{hashes_->fd(), POLLIN, 0};
    poll(&answered, 1, look_every_ms);
    hashes_->clear();
  }
}

}  // namespace nightjar
