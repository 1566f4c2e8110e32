// SPDX-License-Identifier: Apache-2.0
// Where records wait for the digest of an executable: an exec, and all that comes behind it, so that the order stays.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "agent/file_hashes.hpp"
#include "wire/process.h"
#include "wire/record.hpp"

namespace nightjar {

FileIdentity identity_of(const wire_file& file);

/// An exec waits for at most a second, and at most 8 MiB wait: then it goes without its digest, and says so.
class HashGate {
 public:
  using Take = std::function<void(Bytes)>;

  static Result<std::unique_ptr<HashGate>> make();

  /// True: the record was copied, release() gives it when its time has come.
  bool keeps(Bytes record);
  /// Gives what need not wait any longer. `wait`: until nothing is left.
  void release(bool wait, const Take& take);
  [[nodiscard]] bool empty() const { return held_.empty(); }

  FileHashes& hashes() { return *hashes_; }

 private:
  explicit HashGate(std::unique_ptr<FileHashes> hashes) : hashes_(std::move(hashes)) {}
  [[nodiscard]] bool may_go(std::uint64_t now_ns) const;

  struct Held {
    std::vector<std::byte> record;
    FileIdentity file;  ///< of an exec; else inode 0
    std::uint64_t until_ns = 0;
  };
  std::unique_ptr<FileHashes> hashes_;
  std::deque<Held> held_;
  std::size_t bytes_ = 0;
};

}  // namespace nightjar
