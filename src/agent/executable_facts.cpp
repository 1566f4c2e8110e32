// SPDX-License-Identifier: Apache-2.0
#include "agent/executable_facts.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <span>
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

#include "atlas/elf_file.hpp"
#include "nightjar/unique_fd.hpp"

namespace nightjar {
namespace {

constexpr std::size_t results_kept = 4096;  // in each of two generations
constexpr std::size_t requests_kept = 1024;
constexpr std::uint64_t largest_file = 512ULL << 20;
constexpr std::size_t longest_path = 512;  // of those that are remembered: no package has longer ones

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
  return atlas::to_hex(std::as_bytes(std::span(digest)));
}

Result<std::string> digest_of(const FileIdentity& file, std::uint32_t pid, const std::string& path,
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

/// A path of another mount namespace (a container's) means nothing to this machine's database.
bool is_here(const FileIdentity& file, const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_PATH | O_CLOEXEC));
  return fd.valid() && check(fd.get(), file);
}

/// Of a file under a name: a hard link elsewhere is the same file, and no package's.
struct Key {
  FileIdentity file;
  std::string path;  ///< only where packages are wanted
  bool operator==(const Key&) const = default;
};

struct KeyHash {
  std::size_t operator()(const Key& key) const {
    std::uint64_t mixed = key.file.inode * 0x9e3779b97f4a7c15ULL;
    mixed ^= static_cast<std::uint64_t>(key.file.ctime_ns) + (mixed << 6);
    mixed ^= (key.file.size << 20) ^ key.file.dev;
    return static_cast<std::size_t>(mixed * 0x9e3779b97f4a7c15ULL);
  }
};

}  // namespace

struct ExecutableFacts::Shared {
  struct Known {
    Answer answer;
    bool again = false;  ///< not all could be had: the next that asks may have more luck
  };
  using Answers = std::unordered_map<Key, Known, KeyHash>;
  struct Request {
    Key key;
    std::uint32_t pid;
    std::string path;
  };
  Wanted wanted;
  PackageDatabases databases;  // the thread's
  UniqueFd answered;
  std::atomic<bool> stop = false;
  mutable std::mutex mutex;  // for the rest
  std::condition_variable asked;
  std::deque<Request> requests;
  Answers recent, older;

  [[nodiscard]] Key key_of(const FileIdentity& file, const std::string& path) const {
    return {file, wanted.package && path.size() <= longest_path ? path : std::string()};
  }
  Known* find(const Key& key) {
    if (const auto here = recent.find(key); here != recent.end()) return &here->second;
    auto before = older.extract(key);
    return before.empty() ? nullptr : &put(key, std::move(before.mapped()));
  }
  /// Two generations: what was not asked for while as many others came is forgotten.
  Known& put(const Key& key, Known known) {
    if (recent.size() >= results_kept) older = std::exchange(recent, {});
    return recent[key] = std::move(known);
  }
  /// A package may have taken over what was none's.
  void forget_unowned() {
    for (Answers* answers : {&recent, &older}) {
      std::erase_if(*answers, [](const auto& entry) {
        const Answer& answer = entry.second.answer;
        return !answer.pending && answer.owner && !*answer.owner;
      });
    }
  }
  Known work_out(const Request& request) {
    Known known{{.pending = false, .sha256 = {}, .owner = {}}, false};
    if (wanted.digest) {
      auto digest = digest_of(request.key.file, request.pid, request.path, stop);
      known.again = !digest;
      if (digest) known.answer.sha256 = std::move(*digest);
    }
    if (wanted.package && !request.key.path.empty() && is_here(request.key.file, request.key.path)) {
      auto owner = databases.owner(request.key.path);
      known.again = known.again || !owner;
      if (owner) known.answer.owner = std::move(*owner);
    }
    return known;
  }
};

Result<std::unique_ptr<ExecutableFacts>> ExecutableFacts::make(const Wanted& wanted) {
  auto shared = std::make_shared<Shared>();
  shared->wanted = wanted;
  if (wanted.package) {
    if (auto opened = shared->databases.open(); !opened) return std::move(opened).error().in("--package");
  }
  shared->answered.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!shared->answered.valid()) return Error::from_errno("eventfd");
  return std::unique_ptr<ExecutableFacts>(new ExecutableFacts(std::move(shared)));
}

ExecutableFacts::~ExecutableFacts() {
  const std::lock_guard lock(shared_->mutex);
  shared_->stop = true;
  shared_->asked.notify_all();
}

void ExecutableFacts::start() {
  if (std::exchange(started_, true)) return;
  // Detached: open(2) or read(2) of a file whose server hangs must not keep the agent from ending.
  std::thread([shared = shared_] { work(shared); }).detach();
}

void ExecutableFacts::work(const std::shared_ptr<Shared>& shared) {
  // Read before anybody waits for it.
  if (shared->wanted.package) (void)shared->databases.owner("/");
  std::unique_lock lock(shared->mutex);
  for (;;) {
    shared->asked.wait(lock, [&] { return shared->stop || !shared->requests.empty(); });
    if (shared->stop) return;
    const Shared::Request request = std::move(shared->requests.front());
    shared->requests.pop_front();
    lock.unlock();
    const std::uint64_t generation = shared->databases.generation();
    auto known = shared->work_out(request);
    lock.lock();
    if (shared->databases.generation() != generation) shared->forget_unowned();
    shared->put(request.key, std::move(known));
    const std::uint64_t one = 1;
    // Full: it is readable already.
    [[maybe_unused]] const ssize_t written = write(shared->answered.get(), &one, sizeof one);
  }
}

void ExecutableFacts::ask(const FileIdentity& file, std::uint32_t pid, const std::string& path) {
  const std::lock_guard lock(shared_->mutex);
  const Key key = shared_->key_of(file, path);
  const Shared::Known* known = shared_->find(key);
  if (known != nullptr && !known->again) return;
  if (shared_->requests.size() >= requests_kept) {
    shared_->put(key, {{.pending = false, .sha256 = {}, .owner = {}}, true});
    return;
  }
  shared_->put(key, {});
  shared_->requests.push_back({key, pid, path});
  shared_->asked.notify_one();
}

ExecutableFacts::Answer ExecutableFacts::answer(const FileIdentity& file, const std::string& path) const {
  const std::lock_guard lock(shared_->mutex);
  const Shared::Known* known = shared_->find(shared_->key_of(file, path));
  return known == nullptr ? Answer{.pending = false, .sha256 = {}, .owner = {}} : known->answer;
}

bool ExecutableFacts::pending(const FileIdentity& file, const std::string& path) const {
  const std::lock_guard lock(shared_->mutex);
  const Shared::Known* known = shared_->find(shared_->key_of(file, path));
  return known != nullptr && known->answer.pending;
}

const ExecutableFacts::Wanted& ExecutableFacts::wanted() const {
  return shared_->wanted;
}

int ExecutableFacts::fd() const {
  return shared_->answered.get();
}

void ExecutableFacts::clear() {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t n = read(shared_->answered.get(), &count, sizeof count);
}

}  // namespace nightjar
