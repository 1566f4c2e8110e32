// SPDX-License-Identifier: Apache-2.0
// Batches on disk, for an output that cannot always take them.
//
// A spool is a directory. Records are appended to segments (files NUMBER.spool); the file "read" says what was
// delivered. A record is a header (magic, sizes, number of its first line, CRC-32 over all the rest) and a payload.
// Whatever a crash, a full disk or a flipped bit leaves: reading gives every whole record, in order, and the numbers of
// the lines tell exactly how many are missing in between.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "nightjar/result.hpp"
#include "nightjar/unique_fd.hpp"
#include "output/batch.hpp"

namespace nightjar {

struct SpoolSettings {
  std::string directory;
  std::uint64_t bytes_at_most = 256ULL << 20;
  std::uint64_t segment_bytes = 0;  ///< 0: a sixteenth of all, from 64 KiB to 4 MiB
  /// When what was written reaches the disk.
  enum class Sync : std::uint8_t { never, every_second, every_batch } sync = Sync::every_second;
};

/// One record as it stands in a file.
namespace spool_format {
inline constexpr std::size_t header_bytes = 28;
/// Appends the record of that batch; `first` numbers its first line.
void write(std::string& to, const Batch& batch, std::uint64_t first);

struct Found {
  std::size_t begin = 0;    ///< bytes passed over before the record
  std::size_t end = 0;      ///< where it ends
  std::uint64_t first = 0;  ///< number of its first line
  Batch batch;
};
/// The first sound record in the bytes; nothing when there is none. May be given anything.
std::optional<Found> read(std::string_view bytes);
/// How long the record with that header says it is; nothing when it is no header.
std::optional<std::size_t> size_of(std::string_view header);
/// Lines of a record that was written in part: at least 1.
std::uint64_t lines_of_torn(std::string_view bytes, std::uint64_t expected_first);
}  // namespace spool_format

class Spool {
 public:
  /// Creates the directory (0700) when it is missing. Fails with busy when another process uses it, denied when others
  /// can write it.
  static Result<std::unique_ptr<Spool>> open(SpoolSettings settings);

  /// Appends. False: there is no room in the limit; nothing was written. A full or failing disk is an error, and
  /// nothing of the batch is left behind. One thread.
  Result<bool> append(const Batch& batch);

  /// What was not delivered of the oldest batch; empty when there is none. Another thread than append's may call it.
  struct Next {
    Batch batch;
    std::uint64_t missing = 0;  ///< lines that a damaged file lost before it
  };
  Result<Next> next();
  /// So many lines of what next() gave are delivered.
  Result<> done(std::size_t lines);

  /// Brings to disk what the policy wants there now. The reading thread, about once a second.
  Result<> sync();

  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  /// Lines that wait.
  [[nodiscard]] std::uint64_t waiting() const { return written_lines_ - read_lines_; }

 private:
  struct Place {
    std::uint64_t segment = 0, offset = 0, line = 0;
  };
  explicit Spool(SpoolSettings settings) : settings_(std::move(settings)) {}
  Result<> recover();
  Result<> recover_segment(std::uint64_t number);
  Result<> begin_segment();
  /// Nobody took away or cut the segment that is written.
  [[nodiscard]] bool is_whole() const;
  [[nodiscard]] UniqueFd open_segment(std::uint64_t number, int flags) const;
  Result<bool> read_at_place(std::uint64_t size);
  Result<> remember_place();
  Place remembered_place();
  void take(spool_format::Found found);
  [[nodiscard]] static std::string segment_name(std::uint64_t number);

  SpoolSettings settings_;
  UniqueFd directory_, lock_, writing_, place_file_;
  std::atomic<std::uint64_t> bytes_ = 0, written_lines_ = 0, read_lines_ = 0;
  std::string record_;  // being written
  std::uint64_t place_generation_ = 0;
  bool place_known_ = false;  ///< while recovering
  bool begins_anew_ = false;  ///< nothing more goes into the segment that is written

  std::mutex mutex_;  // for what both threads need: writing_ and
  std::uint64_t last_segment_ = 0, last_size_ = 0;

  // The reading side.
  Place place_;
  UniqueFd reading_;
  std::optional<std::uint64_t> reading_number_;
  Next current_;
  std::size_t current_from_ = 0;  // lines of current_ that were delivered
  Place behind_current_;
  std::atomic<bool> unsynced_ = false;
};

}  // namespace nightjar
