// SPDX-License-Identifier: Apache-2.0
// How long a file was before a batch was written to it: what an agent that is killed leaves half-done can be cut off.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include <unistd.h>

#include <sys/stat.h>

namespace nightjar {

class WriteJournal {
 public:
  struct Entry {
    std::uint32_t pending, pad;
    std::uint64_t device, inode, size;
    char path[1024];
  };
  static constexpr std::size_t files = 8;
  /// Where each file ends, by its place.
  struct End {
    std::uint64_t inode, size;
  };
  struct Ends {
    End of[files];
  };
  struct Page {
    Entry entries[files];
  };

  /// Nothing is written down before this.
  void use(Page* page) { page_ = page; }
  /// A place for a file; those beyond the page's are not kept.
  std::size_t place() { return next_++; }

  [[nodiscard]] const Ends& ends() const { return ends_; }

  /// Before `bytes` are added to a file of `size`. The first size since the last settlement stays.
  void will_write(std::size_t place, int fd, std::uint64_t size, std::uint64_t bytes) {
    if (page_ == nullptr || place >= files) return;
    Entry& entry = page_->entries[place];
    struct stat status{};
    if (fstat(fd, &status) != 0) return;
    ends_.of[place] = {status.st_ino, size + bytes};
    if (entry.pending != 0 && entry.inode == status.st_ino && entry.device == status.st_dev) return;
    std::atomic_ref(entry.pending).store(0);
    entry.device = status.st_dev;
    entry.inode = status.st_ino;
    entry.size = size;
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    const ssize_t length = readlink(link.c_str(), entry.path, sizeof entry.path - 1);
    if (length <= 0) return;
    entry.path[length] = 0;
    std::atomic_ref(entry.pending).store(1);
  }

 private:
  Page* page_ = nullptr;
  std::size_t next_ = 0;
  Ends ends_{};
};

}  // namespace nightjar
