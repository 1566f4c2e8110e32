// SPDX-License-Identifier: Apache-2.0
// Standard output and files: one write(2) a batch, rotation, zstd.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#include <zstd.h>

#include "output/safe_path.hpp"
#include "output/sink.hpp"

namespace nightjar {
namespace {

constexpr int compression_level = 3;
// A consumer that stalls is looked at again this often, so that the agent can still end.
constexpr int stall_ms = 200;

/// Writes all of it. Returns how many bytes were written; errno says why fewer.
std::size_t write_all(int fd, std::string_view bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::write(fd, bytes.data() + done, bytes.size() - done);
    if (n > 0) {
      done += static_cast<std::size_t>(n);
    } else if (n < 0 && errno != EINTR) {
      break;
    }
  }
  return done;
}

/// A pipe, a socket or a terminal: whoever reads it may stall, which stalls the output's own thread only.
class PipeSink : public Sink {
 public:
  PipeSink(UniqueFd pipe, std::string name) : pipe_(std::move(pipe)), name_(std::move(name)) {}

  Delivery deliver(const Batch& batch, std::size_t from) override {
    Delivery delivery;
    pollfd ready{pipe_.get(), POLLOUT, 0};
    if (poll(&ready, 1, stall_ms) == 0) {
      delivery.trouble = Error(errc::busy, "nobody reads " + name_);
      return delivery;
    }
    const std::string_view text = batch.rest(from);
    if (write_all(pipe_.get(), text) < text.size()) {
      delivery.trouble = Error::from_errno("cannot write events to " + name_);
      delivery.fatal = true;  // nobody will ever read it again
      return delivery;
    }
    delivery.lines = batch.lines.size() - from;
    return delivery;
  }

 private:
  UniqueFd pipe_;
  std::string name_;
};

struct Rotation {
  std::uint64_t bytes = 0, seconds = 0, keep = 0;
};

class FileSink : public Sink {
 public:
  FileSink(SafePlace place, UniqueFd file, Rotation rotation, bool compress, mode_t mode, const SinkContext& context)
      : place_(std::move(place)),
        file_(std::move(file)),
        rotation_(rotation),
        mode_(mode),
        log_(context.log),
        journal_(context.journal),
        opened_(std::time(nullptr)) {
    if (compress) zstd_.reset(ZSTD_createCCtx());
    if (zstd_) ZSTD_CCtx_setParameter(zstd_.get(), ZSTD_c_compressionLevel, compression_level);
    struct stat status{};
    regular_ = fstat(file_.get(), &status) == 0 && S_ISREG(status.st_mode);
    size_ = regular_ ? static_cast<std::uint64_t>(status.st_size) : 0;
    if (journal_ && regular_) journal_place_ = journal_->place();
  }

  [[nodiscard]] bool direct() const override { return true; }

  Delivery deliver(const Batch& batch, std::size_t from) override {
    Delivery delivery;
    if (auto rotated = rotate_if_due(); !rotated) {
      delivery.trouble = std::move(rotated).error();
      return delivery;
    }
    const std::string_view text = zstd_ ? compressed(batch.rest(from), ZSTD_e_flush) : batch.rest(from);
    if (journal_ && regular_) journal_->will_write(journal_place_, file_.get(), size_, text.size());
    const std::size_t done = write_all(file_.get(), text);
    if (done < text.size()) {
      const int error = errno;
      delivery.fatal = error == EPIPE || !delivered_;
      delivery.trouble = Error::from_errno("cannot write events to " + place_.path, error);
      // Half a line or half a frame would spoil what comes after it.
      if (done > 0 && regular_ && ftruncate(file_.get(), static_cast<off_t>(size_)) != 0)
        delivery.trouble = Error::from_errno("cannot cut off a line written in part from " + place_.path);
      if (zstd_) ZSTD_CCtx_reset(zstd_.get(), ZSTD_reset_session_only);
      frame_broken_ = zstd_ != nullptr;
      return delivery;
    }
    size_ += done;
    delivered_ = true;
    delivery.lines = batch.lines.size() - from;
    return delivery;
  }

  Result<> close() override {
    if (!zstd_ || size_ == 0) return {};
    const std::string_view text = compressed({}, ZSTD_e_end);
    if (write_all(file_.get(), text) < text.size()) return Error::from_errno("cannot finish " + place_.path);
    size_ += text.size();
    return {};
  }

  /// Out of the way with it, and a fresh one in its place.
  Result<> rotate() {
    NIGHTJAR_CHECK(close());
    const std::string old = unused_name();
    if (renameat(place_.directory.get(), place_.name.c_str(), place_.directory.get(), old.c_str()) != 0)
      return Error::from_errno("cannot rename " + place_.path + " to " + old);
    file_ = NIGHTJAR_TRY(open_safely(place_, O_WRONLY | O_CREAT | O_APPEND | O_EXCL, mode_));
    size_ = 0;
    opened_ = std::time(nullptr);
    frame_broken_ = false;
    if (rotation_.keep != 0) remove_oldest();
    return {};
  }

  [[nodiscard]] bool regular() const { return regular_; }
  [[nodiscard]] std::uint64_t size() const { return size_; }

 private:
  Result<> rotate_if_due() {
    if (!regular_ || size_ == 0) return {};
    const bool full = rotation_.bytes != 0 && size_ >= rotation_.bytes;
    const bool old =
        rotation_.seconds != 0 && static_cast<std::uint64_t>(std::time(nullptr) - opened_) >= rotation_.seconds;
    return full || old || frame_broken_ ? rotate() : Result<>();
  }

  std::string_view compressed(std::string_view text, ZSTD_EndDirective how) {
    packed_.resize(ZSTD_compressBound(text.size()) + 64);
    ZSTD_inBuffer in{text.data(), text.size(), 0};
    std::size_t used = 0;
    for (std::size_t left = 1; left != 0;) {
      if (used == packed_.size()) packed_.resize(packed_.size() * 2);
      ZSTD_outBuffer out{packed_.data(), packed_.size(), used};
      left = ZSTD_compressStream2(zstd_.get(), &out, &in, how);
      used = out.pos;
      if (ZSTD_isError(left) != 0) break;  // not for valid arguments and enough room
    }
    return std::string_view(packed_).substr(0, used);
  }

  /// NAME.20261122T195601.1; sorts by age.
  std::string unused_name() {
    char stamp[32];
    const std::time_t now = std::time(nullptr);
    std::tm utc{};
    gmtime_r(&now, &utc);
    std::strftime(stamp, sizeof stamp, ".%Y%m%dT%H%M%S.", &utc);
    for (unsigned n = 1;; ++n) {
      char number[16];
      std::snprintf(number, sizeof number, "%04u", n);
      const std::string name = place_.name + stamp + number;
      struct stat status{};
      if (fstatat(place_.directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return name;
    }
  }

  void remove_oldest() {
    const int copy = openat(place_.directory.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (copy < 0) return;
    std::unique_ptr<DIR, int (*)(DIR*)> entries(fdopendir(copy), closedir);
    if (!entries) return;
    const std::string prefix = place_.name + ".";
    constexpr std::size_t suffix = sizeof "20261122T195601.0001" - 1;
    std::vector<std::string> old;
    while (const dirent* entry = readdir(entries.get())) {
      const std::string_view name = entry->d_name;
      if (name.size() == prefix.size() + suffix && name.starts_with(prefix) && name[prefix.size() + 8] == 'T')
        old.emplace_back(name);
    }
    std::ranges::sort(old);
    for (std::size_t i = 0; i + rotation_.keep < old.size(); ++i) {
      if (unlinkat(place_.directory.get(), old[i].c_str(), 0) != 0 && log_)
        log_(LogLevel::warning, to_string(Error::from_errno("cannot remove " + old[i])));
    }
  }

  struct FreeContext {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };
  SafePlace place_;
  UniqueFd file_;
  Rotation rotation_;
  mode_t mode_;
  LogSink log_;
  std::shared_ptr<WriteJournal> journal_;
  std::size_t journal_place_ = 0;
  std::unique_ptr<ZSTD_CCtx, FreeContext> zstd_;
  std::string packed_;
  std::time_t opened_;
  std::uint64_t size_ = 0;
  bool regular_ = false;
  bool delivered_ = false;
  bool frame_broken_ = false;
};

bool may_stall(int fd) {
  struct stat status{};
  if (fstat(fd, &status) != 0) return false;
  return S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode) || isatty(fd) != 0;
}

}  // namespace

SinkMaker open_stdout(const OutputSpec&, const SinkContext& context) {
  UniqueFd copy(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  if (!copy.valid()) return Error(errc::system, "standard output is closed: open it, or choose --output file:PATH");
  if (may_stall(copy.get())) return std::make_unique<PipeSink>(std::move(copy), "standard output");
  return std::make_unique<FileSink>(SafePlace{{}, "", "standard output"}, std::move(copy), Rotation{}, false, 0600,
                                    context);
}

SinkMaker open_file(const OutputSpec& spec, const SinkContext& context) {
  Rotation rotation;
  rotation.bytes = NIGHTJAR_TRY(spec.bytes("rotate-size", 0));
  rotation.seconds = NIGHTJAR_TRY(spec.seconds("rotate-every", 0));
  rotation.keep = NIGHTJAR_TRY(spec.number("keep", 0));
  const std::string compress = spec.text("compress", "none");
  if (compress != "none" && compress != "zstd")
    return Error(errc::invalid, "output " + spec.uri + ": compress=" + compress + ": expected none or zstd");
  const mode_t mode = NIGHTJAR_TRY(file_mode(spec, 0600));
  SafePlace place = NIGHTJAR_TRY(find_safe_place(spec.target));
  // Non-blocking for the open only: a FIFO that nobody reads is an error, not a wait.
  UniqueFd file = NIGHTJAR_TRY(open_safely(place, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK, mode));
  fcntl(file.get(), F_SETFL, fcntl(file.get(), F_GETFL) & ~O_NONBLOCK);
  if (may_stall(file.get())) return std::make_unique<PipeSink>(std::move(file), spec.target);
  auto sink =
      std::make_unique<FileSink>(std::move(place), std::move(file), rotation, compress == "zstd", mode, context);
  // Whatever compressed file is there may lack its end: nothing can be appended to it.
  if (compress == "zstd" && sink->regular() && sink->size() != 0) NIGHTJAR_CHECK(sink->rotate());
  return sink;
}

}  // namespace nightjar
