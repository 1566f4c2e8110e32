// SPDX-License-Identifier: Apache-2.0
#include "atlas/source.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

namespace nightjar::atlas {
namespace {

class MemorySource : public Source {
 public:
  explicit MemorySource(Bytes bytes) : rest_(bytes) {}
  Result<std::size_t> read(std::span<std::byte> into) override {
    const std::size_t count = std::min(into.size(), rest_.size());
    std::copy_n(rest_.begin(), count, into.begin());
    rest_ = rest_.subspan(count);
    return count;
  }

 private:
  Bytes rest_;
};

class FileSource : public Source {
 public:
  FileSource(UniqueFd file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}
  Result<std::size_t> read(std::span<std::byte> into) override {
    for (;;) {
      const ssize_t count = ::read(file_.get(), into.data(), into.size());
      if (count >= 0) return static_cast<std::size_t>(count);
      if (errno != EINTR) return Error::from_errno("read " + path_);
    }
  }

 private:
  UniqueFd file_;
  std::string path_;
};

class LimitedSource : public Source {
 public:
  LimitedSource(Source& inner, std::uint64_t left) : inner_(inner), left_(left) {}
  Result<std::size_t> read(std::span<std::byte> into) override {
    const std::size_t wanted = std::min<std::uint64_t>(into.size(), left_);
    const std::size_t count = wanted == 0 ? 0 : NIGHTJAR_TRY(inner_.read(into.first(wanted)));
    left_ -= count;
    return count;
  }

 private:
  Source& inner_;
  std::uint64_t left_;
};

}  // namespace

Result<> Source::read_all(std::span<std::byte> into) {
  while (!into.empty()) {
    const std::size_t count = NIGHTJAR_TRY(read(into));
    if (count == 0) return corrupt("cut off");
    into = into.subspan(count);
  }
  return {};
}

Result<> Source::skip(std::uint64_t count) {
  std::array<std::byte, 65536> waste;
  while (count != 0) {
    const std::size_t step = std::min<std::uint64_t>(count, waste.size());
    NIGHTJAR_CHECK(read_all(std::span(waste).first(step)));
    count -= step;
  }
  return {};
}

SourcePointer source_of(Bytes bytes) {
  return std::make_unique<MemorySource>(bytes);
}

Result<SourcePointer> source_of_file(const std::string& path) {
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return Error::from_errno("open " + path);
  return source_of_descriptor(std::move(file), path);
}

SourcePointer source_of_descriptor(UniqueFd file, std::string name) {
  return std::make_unique<FileSource>(std::move(file), std::move(name));
}

SourcePointer first_of(Source& inner, std::uint64_t length) {
  return std::make_unique<LimitedSource>(inner, length);
}

Result<std::string> read_rest(Source& source, std::uint64_t most) {
  std::string all;
  std::size_t used = 0;
  for (;;) {
    // Doubled, so that no more than twice the content is ever held, whatever a header claims.
    if (all.size() - used < 65536) all.resize(std::max<std::size_t>(1U << 20U, all.size() * 2));
    const std::size_t count = NIGHTJAR_TRY(source.read(std::as_writable_bytes(std::span(all)).subspan(used)));
    used += count;
    if (used > most) return corrupt("larger than " + std::to_string(most) + " bytes when decompressed");
    if (count == 0) break;
  }
  all.resize(used);
  return all;
}

}  // namespace nightjar::atlas
