// SPDX-License-Identifier: Apache-2.0
#include "agent/file_hashes.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <linux/magic.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "nightjar/unique_fd.hpp"

namespace nightjar {
namespace {

constexpr std::size_t results_kept = 4096;  // in each of two generations
constexpr std::size_t requests_kept = 1024;
constexpr std::uint64_t largest_file = 512ULL << 20;

const std::atomic<bool> never{false};

FileIdentity identity_of(const struct stat& status) {
  FileIdentity file;
  file.inode = status.st_ino;
  file.size = static_cast<std::uint64_t>(status.st_size);
  file.ctime_ns = status.st_ctim.tv_sec * 1'000'000'000LL + status.st_ctim.tv_nsec;
  file.dev = major(status.st_dev) << 20 | minor(status.st_dev);
  return file;
}

/// stat(2) shows another device than the kernel's own on file systems that lie above others.
bool shows_its_device(int fd) {
  struct statfs system{};
  if (fstatfs(fd, &system) != 0) return true;
  return system.f_type != OVERLAYFS_SUPER_MAGIC && system.f_type != BTRFS_SUPER_MAGIC;
}

Result<> check(int fd, const FileIdentity& wanted) {
  struct stat status{};
  if (fstat(fd, &status) != 0) return Error::from_errno("cannot look at an executable");
  FileIdentity found = identity_of(status);
  if (found.dev != wanted.dev && !shows_its_device(fd)) found.dev = wanted.dev;
  if (!S_ISREG(status.st_mode) || found != wanted) return Error(errc::invalid, "another file by now");
  return {};
}

Result<std::string> digest_of(int fd, const FileIdentity& wanted, const std::atomic<bool>& stop) {
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  const std::unique_ptr<EVP_MD_CTX, Free> context(EVP_MD_CTX_new());
  if (!context || EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) != 1)
    return Error(errc::system, "libcrypto has no SHA-256");
  std::vector<char> buffer(128 << 10);
  std::uint64_t left = wanted.size;
  while (left != 0 && !stop.load(std::memory_order_relaxed)) {
    const ssize_t n = read(fd, buffer.data(), std::min<std::uint64_t>(buffer.size(), left));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error::from_errno("cannot read an executable");
    if (n == 0) return Error(errc::invalid, "the file became shorter");
    EVP_DigestUpdate(context.get(), buffer.data(), static_cast<std::size_t>(n));
    left -= static_cast<std::uint64_t>(n);
  }
  if (left != 0) return Error(errc::invalid, "stopped");
  NIGHTJAR_CHECK(check(fd, wanted));  // what was read is what was executed only if nothing changed meanwhile
  unsigned char digest[32];
  unsigned size = 0;
  EVP_DigestFinal_ex(context.get(), digest, &size);
  std::string hex;
  for (const unsigned char byte : digest) {
    constexpr char digits[] = "0123456789abcdef";
    hex += digits[byte >> 4];
    hex += digits[byte & 15];
  }
  return hex;
}

Result<std::string> hash(const FileIdentity& file, std::uint32_t pid, const std::string& path,
                         const std::atomic<bool>& stop) {
  if (file.size > largest_file) return Error(errc::invalid, path + " is larger than 512 MiB");
  // The link leads to the file in whatever mount namespace, also when it has no name any more; the path only while the
  // agent's own mount namespace shows it.
  for (const std::string& name : {"/proc/" + std::to_string(pid) + "/exe", path}) {
    if (name.empty()) continue;
    const UniqueFd fd(open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (!fd.valid() || !check(fd.get(), file)) continue;
    return digest_of(fd.get(), file, stop);
  }
  return Error(errc::not_found, path + ": the process is gone, and this is another file");
}

struct IdentityHash {
  std::size_t operator()(const FileIdentity& file) const {
    std::uint64_t mixed = file.inode * 0x9e3779b97f4a7c15ULL;
    mixed ^= static_cast<std::uint64_t>(file.ctime_ns) + (mixed << 6);
    mixed ^= (file.size << 20) ^ file.dev;
    return static_cast<std::size_t>(mixed * 0x9e3779b97f4a7c15ULL);
  }
};

struct Answer {
  FileHashes::State state = FileHashes::State::pending;
  std::string hex;
};

}  // namespace

struct FileHashes::Shared {
  using Answers = std::unordered_map<FileIdentity, Answer, IdentityHash>;
  struct Request {
    FileIdentity file;
    std::uint32_t pid;
    std::string path;
  };
  UniqueFd answered;
  std::atomic<bool> stop = false;
  mutable std::mutex mutex;  // for the rest
  std::condition_variable asked;
  std::deque<Request> requests;
  Answers recent, older;

  Answer* find(const FileIdentity& file) {
    if (const auto here = recent.find(file); here != recent.end()) return &here->second;
    auto before = older.extract(file);
    return before.empty() ? nullptr : &put(file, std::move(before.mapped()));
  }
  /// Two generations: what was not asked for while as many others came is forgotten.
  Answer& put(const FileIdentity& file, Answer answer) {
    if (recent.size() >= results_kept) older = std::exchange(recent, {});
    return recent[file] = std::move(answer);
  }
};

Result<std::unique_ptr<FileHashes>> FileHashes::make() {
  auto shared = std::make_shared<Shared>();
  shared->answered.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!shared->answered.valid()) return Error::from_errno("eventfd");
  return std::unique_ptr<FileHashes>(new FileHashes(std::move(shared)));
}

FileHashes::~FileHashes() {
  const std::lock_guard lock(shared_->mutex);
  shared_->stop = true;
  shared_->asked.notify_all();
}

void FileHashes::start() {
  if (std::exchange(started_, true)) return;
  // Detached: open(2) or read(2) of a file whose server hangs must not keep the agent from ending.
  std::thread([shared = shared_] { work(shared); }).detach();
}

void FileHashes::work(const std::shared_ptr<Shared>& shared) {
  std::unique_lock lock(shared->mutex);
  for (;;) {
    shared->asked.wait(lock, [&] { return shared->stop || !shared->requests.empty(); });
    if (shared->stop) return;
    const Shared::Request request = std::move(shared->requests.front());
    shared->requests.pop_front();
    lock.unlock();
    auto hex = hash(request.file, request.pid, request.path, shared->stop);
    lock.lock();
    shared->put(request.file, hex ? Answer{State::known, std::move(*hex)} : Answer{State::failed, {}});
    const std::uint64_t one = 1;
    // Full: it is readable already.
    [[maybe_unused]] const ssize_t written = write(shared->answered.get(), &one, sizeof one);
  }
}

void FileHashes::ask(const FileIdentity& file, std::uint32_t pid, const std::string& path) {
  const std::lock_guard lock(shared_->mutex);
  const Answer* known = shared_->find(file);
  if (known != nullptr && known->state != State::failed) return;
  if (shared_->requests.size() >= requests_kept) {
    shared_->put(file, {State::failed, {}});
    return;
  }
  shared_->put(file, {});
  shared_->requests.push_back({file, pid, path});
  shared_->asked.notify_one();
}

FileHashes::State FileHashes::state(const FileIdentity& file) const {
  const std::lock_guard lock(shared_->mutex);
  const Answer* answer = shared_->find(file);
  return answer == nullptr ? State::unknown : answer->state;
}

std::string FileHashes::sha256(const FileIdentity& file) const {
  const std::lock_guard lock(shared_->mutex);
  const Answer* answer = shared_->find(file);
  return answer == nullptr ? std::string() : answer->hex;
}

int FileHashes::fd() const {
  return shared_->answered.get();
}

void FileHashes::clear() {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t n = read(shared_->answered.get(), &count, sizeof count);
}

Result<std::string> sha256_of_file(const FileIdentity& file, std::uint32_t pid, const std::string& path) {
  return hash(file, pid, path, never);
}

}  // namespace nightjar
