// SPDX-License-Identifier: Apache-2.0
#include "output/spool.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <sys/file.h>
#include <sys/stat.h>

#include "output/safe_path.hpp"

namespace nightjar {
namespace {

constexpr std::uint64_t smallest_segment = 64U << 10;
constexpr std::uint64_t largest_segment = 4U << 20;

/// The file "read": two of these in turn, the sound one with the higher generation counts.
struct StoredPlace {
  std::uint64_t segment, offset, line, generation, checksum;

  [[nodiscard]] std::uint64_t sum() const {
    return crc32(0, reinterpret_cast<const Bytef*>(this), offsetof(StoredPlace, checksum));
  }
};

std::vector<std::uint64_t> segments_of(int directory) {
  std::vector<std::uint64_t> numbers;
  const int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return numbers;
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(fdopendir(copy), closedir);
  while (const dirent* entry = readdir(entries.get())) {
    const std::string_view name = entry->d_name;
    std::uint64_t number = 0;
    if (!name.ends_with(".spool")) continue;
    const char* end = name.data() + name.size() - 6;
    if (const auto [at, error] = std::from_chars(name.data(), end, number, 16); error == std::errc() && at == end)
      numbers.push_back(number);
  }
  std::ranges::sort(numbers);
  return numbers;
}

std::uint64_t size_of_file(int fd) {
  struct stat status{};
  return fstat(fd, &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

/// A file of the spool, and no link: whoever may write the directory must not decide what else is written or told.
UniqueFd open_own(int directory, const char* name, int flags, mode_t mode = 0) {
  UniqueFd fd(openat(directory, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, mode));
  struct stat status{};
  if (fd.valid() && (fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode) ||
                     (status.st_uid != 0 && status.st_uid != geteuid()))) {
    fd.reset();
    errno = EPERM;
  }
  return fd;
}

Result<std::string> read_range(int fd, std::uint64_t from, std::uint64_t to) {
  std::string bytes(to > from ? to - from : 0, '\0');
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = pread(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(from + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error::from_errno("cannot read the spool");
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  bytes.resize(done);
  return bytes;
}

}  // namespace

std::string Spool::segment_name(std::uint64_t number) {
  char name[32];
  std::snprintf(name, sizeof name, "%016llx.spool", static_cast<unsigned long long>(number));
  return name;
}

Result<std::unique_ptr<Spool>> Spool::open(SpoolSettings settings) {
  if (settings.segment_bytes == 0)
    settings.segment_bytes = std::clamp(settings.bytes_at_most / 16, smallest_segment, largest_segment);
  std::unique_ptr<Spool> spool(new Spool(std::move(settings)));
  const std::string& path = spool->settings_.directory;
  const SafePlace place = NIGHTJAR_TRY(find_safe_place(path));
  if (mkdirat(place.directory.get(), place.name.c_str(), 0700) != 0 && errno != EEXIST)
    return Error::from_errno("cannot create the spool " + path);
  spool->directory_.reset(
      openat(place.directory.get(), place.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!spool->directory_.valid()) return Error::from_errno("cannot open the spool " + path);
  struct stat status{};
  if (fstat(spool->directory_.get(), &status) != 0) return Error::from_errno("cannot look at the spool " + path);
  if ((status.st_uid != 0 && status.st_uid != geteuid()) || (status.st_mode & (S_IWOTH | S_IWGRP)) != 0)
    return Error(errc::denied,
                 "refused the spool " + path + ": other users can write it: chown it to root, chmod 0700");
  const int directory = spool->directory_.get();
  spool->lock_ = open_own(directory, "lock", O_RDWR | O_CREAT, 0600);
  if (!spool->lock_.valid()) return Error::from_errno("cannot open the spool " + path);
  if (flock(spool->lock_.get(), LOCK_EX | LOCK_NB) != 0)
    return Error(errc::busy, "the spool " + path + " is used by another process: give each output its own");
  spool->place_file_ = open_own(directory, "read", O_RDWR | O_CREAT, 0600);
  if (!spool->place_file_.valid()) return Error::from_errno("cannot open the spool " + path);
  if (auto recovered = spool->recover(); !recovered) return std::move(recovered).error().in("spool " + path);
  return spool;
}

// ---- What an earlier process left ----

Result<> Spool::recover() {
  place_ = remembered_place();
  written_lines_ = place_.line;
  const auto numbers = segments_of(directory_.get());
  place_known_ = place_generation_ != 0 || numbers.empty();
  for (const std::uint64_t number : numbers) {
    if (number < place_.segment) {  // delivered, and the removal did not come to be
      unlinkat(directory_.get(), segment_name(number).c_str(), 0);
    } else {
      NIGHTJAR_CHECK(recover_segment(number));
      last_segment_ = number;
    }
  }
  if (place_.segment > last_segment_) last_segment_ = place_.segment;
  read_lines_ = place_.line;
  NIGHTJAR_CHECK(remember_place());
  return begin_segment();
}

Result<> Spool::recover_segment(std::uint64_t number) {
  const UniqueFd fd = open_segment(number, O_RDWR);
  if (!fd.valid()) return Error::from_errno("cannot open " + segment_name(number));
  const std::string bytes = NIGHTJAR_TRY(read_range(fd.get(), 0, size_of_file(fd.get())));
  std::size_t end = 0;
  while (const auto found = spool_format::read(std::string_view(bytes).substr(end))) {
    // What was delivered is not known: all that is there is delivered again.
    if (!place_known_) place_.line = found->first;
    place_known_ = true;
    written_lines_ = std::max<std::uint64_t>(written_lines_, found->first + found->batch.lines.size());
    end += found->end;
  }
  // What follows was never whole. Its lines are missing, and their numbers say so to the reader.
  if (end < bytes.size())
    written_lines_ += spool_format::lines_of_torn(std::string_view(bytes).substr(end), written_lines_);
  bytes_ += bytes.size();
  return {};
}

Spool::Place Spool::remembered_place() {
  StoredPlace best{};
  for (off_t slot = 0; slot < 2; ++slot) {
    StoredPlace stored{};
    const auto size = static_cast<ssize_t>(sizeof stored);
    if (pread(place_file_.get(), &stored, sizeof stored, slot * size) != size) continue;
    if (stored.checksum == stored.sum() && stored.generation > best.generation) best = stored;
  }
  place_generation_ = best.generation;
  return {best.segment, best.offset, best.line};
}

Result<> Spool::remember_place() {
  StoredPlace stored{place_.segment, place_.offset, place_.line, ++place_generation_, 0};
  stored.checksum = stored.sum();
  const auto slot = static_cast<off_t>(place_generation_ % 2 * sizeof stored);
  if (pwrite(place_file_.get(), &stored, sizeof stored, slot) != static_cast<ssize_t>(sizeof stored))
    return Error::from_errno("cannot write " + settings_.directory + "/read");
  return {};
}

// ---- Writing ----

/// Each process writes segments of its own: nothing is appended to what may have a torn end.
Result<> Spool::begin_segment() {
  std::uint64_t number = last_segment_ + 1;
  UniqueFd fd = open_segment(number, O_RDWR | O_CREAT | O_EXCL | O_APPEND);
  // What somebody put there is passed over.
  for (int more = 0; !fd.valid() && errno == EEXIST && more < 100; ++more)
    fd = open_segment(++number, O_RDWR | O_CREAT | O_EXCL | O_APPEND);
  if (!fd.valid()) return Error::from_errno("cannot create a spool segment in " + settings_.directory);
  const std::lock_guard guard(mutex_);
  writing_ = std::move(fd);
  last_segment_ = number;
  last_size_ = 0;
  return {};
}

UniqueFd Spool::open_segment(std::uint64_t number, int flags) const {
  return open_own(directory_.get(), segment_name(number).c_str(), flags, 0600);
}

bool Spool::is_whole() const {
  struct stat status{};
  return fstat(writing_.get(), &status) == 0 && status.st_nlink != 0 &&
         static_cast<std::uint64_t>(status.st_size) == last_size_;
}

Result<bool> Spool::append(const Batch& batch) {
  record_.clear();
  spool_format::write(record_, batch, written_lines_);
  if (bytes_ + record_.size() > settings_.bytes_at_most) return false;
  // In another one the reader sees by the numbers what is missing of this one.
  if (last_size_ >= settings_.segment_bytes || begins_anew_ || !is_whole()) NIGHTJAR_CHECK(begin_segment());
  begins_anew_ = false;
  std::size_t done = 0;
  while (done < record_.size()) {
    const ssize_t n = ::write(writing_.get(), record_.data() + done, record_.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += static_cast<std::size_t>(n);
  }
  if (done < record_.size()) {
    Error error = Error::from_errno("cannot write to the spool " + settings_.directory);
    if (ftruncate(writing_.get(), static_cast<off_t>(last_size_)) != 0)
      last_size_ += done;  // the reader passes over it
    // On a full disk, the segment's own room is free once it is read.
    begins_anew_ = last_size_ != 0;
    return error;
  }
  if (settings_.sync == SpoolSettings::Sync::every_batch && fdatasync(writing_.get()) != 0)
    return Error::from_errno("cannot bring the spool " + settings_.directory + " to disk");
  written_lines_ += batch.lines.size();
  unsynced_ = true;
  const std::lock_guard guard(mutex_);
  bytes_ += record_.size();
  last_size_ += record_.size();
  return true;
}

Result<> Spool::sync() {
  if (settings_.sync == SpoolSettings::Sync::never || !unsynced_.exchange(false)) return {};
  UniqueFd copy;
  {
    const std::lock_guard guard(mutex_);
    copy.reset(fcntl(writing_.get(), F_DUPFD_CLOEXEC, 3));
  }
  if (fdatasync(copy.get()) != 0 || fsync(directory_.get()) != 0)
    return Error::from_errno("cannot bring the spool " + settings_.directory + " to disk");
  return {};
}

// ---- Reading ----

void Spool::take(spool_format::Found found) {
  current_.missing = found.first > place_.line ? found.first - place_.line : 0;
  behind_current_ = {place_.segment, place_.offset + found.end, found.first + found.batch.lines.size()};
  // An earlier process delivered its first lines, or this record was read before.
  current_from_ = place_.line > found.first ? place_.line - found.first : 0;
  current_.batch = std::move(found.batch);
}

/// True: current_ holds the next record of the segment that is read, which ends at `size`.
Result<bool> Spool::read_at_place(std::uint64_t size) {
  const std::string header = NIGHTJAR_TRY(
      read_range(reading_.get(), place_.offset, std::min(size, place_.offset + spool_format::header_bytes)));
  if (const auto bytes = spool_format::size_of(header); bytes && *bytes <= size - place_.offset) {
    auto found = spool_format::read(NIGHTJAR_TRY(read_range(reading_.get(), place_.offset, place_.offset + *bytes)));
    if (found && found->begin == 0) {
      take(std::move(*found));
      return true;
    }
  }
  // Damage: the next sound record, if there is one.
  auto found = spool_format::read(NIGHTJAR_TRY(read_range(reading_.get(), place_.offset, size)));
  if (!found) return false;
  take(std::move(*found));
  return true;
}

Result<Spool::Next> Spool::next() {
  while (current_.batch.empty()) {
    std::uint64_t last = 0;
    std::uint64_t size = 0;
    {
      const std::lock_guard guard(mutex_);
      last = last_segment_;
      size = last_size_;
    }
    if (reading_number_ != place_.segment) {
      reading_ = open_segment(place_.segment, O_RDONLY);
      reading_number_ = place_.segment;
      const std::lock_guard guard(mutex_);
      if (place_.segment == last_segment_) {
        // Whatever became of its name. And whatever became of those before it: this is all that there is.
        reading_.reset(fcntl(writing_.get(), F_DUPFD_CLOEXEC, 3));
        bytes_ = last_size_;
      }
    }
    const bool is_last = place_.segment >= last;
    if (!is_last) size = reading_.valid() ? size_of_file(reading_.get()) : 0;
    if (reading_.valid() && place_.offset < size && NIGHTJAR_TRY(read_at_place(size))) break;
    if (is_last) {
      if (place_.segment > last || !reading_.valid()) reading_number_.reset();
      return Next{};
    }
    // This segment is through.
    if (reading_.valid()) {
      bytes_ -= std::min<std::uint64_t>(bytes_, size);
      unlinkat(directory_.get(), segment_name(place_.segment).c_str(), 0);
    }
    place_ = {place_.segment + 1, 0, place_.line};
    reading_number_.reset();
    NIGHTJAR_CHECK(remember_place());
  }
  Next given;
  given.missing = std::exchange(current_.missing, 0);
  for (std::size_t i = current_from_; i < current_.batch.lines.size(); ++i)
    given.batch.add(current_.batch.lines[i].kind, current_.batch.line(i));
  return given;
}

Result<> Spool::done(std::size_t lines) {
  current_from_ += lines;
  if (current_from_ >= current_.batch.lines.size()) {
    place_ = behind_current_;
    current_ = {};
    current_from_ = 0;
  } else {
    place_.line = behind_current_.line - current_.batch.lines.size() + current_from_;
  }
  read_lines_ = place_.line;
  return remember_place();
}

}  // namespace nightjar
