// SPDX-License-Identifier: Apache-2.0
#include "agent/dpkg_database.hpp"

#include <algorithm>
#include <functional>

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <sys/stat.h>

#include "agent/host.hpp"
#include "nightjar/unique_fd.hpp"

namespace nightjar {
namespace {

constexpr std::size_t largest_file = 64 << 20;
constexpr std::size_t most_files = 2'000'000;
constexpr std::uint64_t read_every_s = 10;

Result<std::string> read_bounded(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  struct stat status{};
  if (!file.valid() || fstat(file.get(), &status) != 0) return Error::from_errno("cannot read " + path);
  if (!S_ISREG(status.st_mode) || static_cast<std::size_t>(status.st_size) > largest_file)
    return Error(errc::system, path + " is no file of dpkg's");
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t have = 0;
  while (have < text.size()) {
    const ssize_t n = read(file.get(), text.data() + have, text.size() - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error::from_errno("cannot read " + path);
    if (n == 0) break;
    have += static_cast<std::size_t>(n);
  }
  text.resize(have);
  return text;
}

void each_line(std::string_view text, const std::function<void(std::string_view)>& take) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    take(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::uint32_t hash_of(std::string_view path) {
  return static_cast<std::uint32_t>(std::hash<std::string_view>{}(path));
}

}  // namespace

bool DpkgDatabase::exists() const {
  return access((folder() + "/status").c_str(), R_OK) == 0;
}

std::string DpkgDatabase::stamp() const {
  return stamp_of({folder() + "/status", folder() + "/info", folder() + "/diversions"});
}

/// Where /bin is a link to /usr/bin, lists may still say /bin/ls: both become the shorter one.
std::string_view DpkgDatabase::plain(std::string_view path) const {
  if (!merged_ || !path.starts_with("/usr/")) return path;
  const std::string_view rest = path.substr(4);
  return rest.starts_with("/bin/") || rest.starts_with("/sbin/") || rest.starts_with("/lib") ? rest : path;
}

void DpkgDatabase::read_status(std::string_view text) {
  Package package;
  const auto keep = [&] {
    if (package.name.empty()) return;
    package.type = "deb";
    packages_[package.name + ':' + package.architecture] = package;
    packages_[package.name] = package;
    package = {};
  };
  each_line(text, [&](std::string_view line) {
    const auto value = [&](std::string_view key, std::string& to) {
      if (line.starts_with(key)) to = line.substr(key.size());
    };
    if (line.empty()) return keep();
    value("Package: ", package.name);
    value("Version: ", package.version);
    value("Architecture: ", package.architecture);
  });
  keep();
}

void DpkgDatabase::read_list(std::uint32_t number, std::string_view text) {
  each_line(text, [&](std::string_view path) {
    if (entries_.size() < most_files && path.size() > 1) entries_.push_back({hash_of(plain(path)), number});
  });
}

Result<> DpkgDatabase::read_all() {
  lists_.clear();
  entries_.clear();
  diversions_.clear();
  packages_.clear();
  struct stat status{};
  merged_ = lstat((root_ + "/bin").c_str(), &status) == 0 && S_ISLNK(status.st_mode);
  read_status(NIGHTJAR_TRY(read_bounded(folder() + "/status")));
  if (const auto text = read_bounded(folder() + "/diversions")) {
    std::vector<std::string> lines;
    each_line(*text, [&](std::string_view line) { lines.emplace_back(line); });
    for (std::size_t i = 0; i + 2 < lines.size(); i += 3) {
      diversions_.push_back({std::string(plain(lines[i])), std::string(plain(lines[i + 1])), lines[i + 2]});
    }
  }
  const auto close = [](DIR* folder) { closedir(folder); };
  const std::unique_ptr<DIR, decltype(close)> info(opendir((folder() + "/info").c_str()), close);
  if (!info) return Error::from_errno("cannot read " + folder() + "/info");
  while (const dirent* found = readdir(info.get())) {
    std::string_view name = found->d_name;
    if (!name.ends_with(".list")) continue;
    const auto text = read_bounded(folder() + "/info/" + std::string(name));
    if (!text) continue;  // removed meanwhile: the next look sees another stamp
    name.remove_suffix(5);
    read_list(static_cast<std::uint32_t>(lists_.size()), *text);
    lists_.emplace_back(name);
  }
  entries_.shrink_to_fit();
  std::ranges::sort(entries_, {}, &Entry::hash);
  return {};
}

Result<> DpkgDatabase::refresh() {
  std::string now = stamp();  // taken before: a change while it is read is seen at the next look
  if (now == stamp_) return {};
  const std::uint64_t now_s = boot_clock_ns() / 1'000'000'000;
  if (generation_ != 0 && now_s < read_at_s_ + read_every_s) return Error(errc::invalid, "packages are being changed");
  read_at_s_ = now_s;
  ++generation_;
  stamp_.reset();  // what could not be read is no answer
  NIGHTJAR_CHECK(read_all());
  stamp_ = std::move(now);
  return {};
}

/// The names are not kept, so a hash that fits is only a hint: the list has the word.
bool DpkgDatabase::lists(const std::string& list, std::string_view path) const {
  const auto text = read_bounded(folder() + "/info/" + list + ".list");
  bool found = false;
  if (text) each_line(*text, [&](std::string_view line) { found = found || plain(line) == path; });
  return found;
}

Result<std::optional<Package>> DpkgDatabase::owner(std::string_view path) {
  NIGHTJAR_CHECK(refresh());
  path = plain(path);
  std::string_view wanted = path;
  std::string_view only, never;
  for (const Diversion& diversion : diversions_) {
    if (diversion.from == path) only = diversion.by;
    if (diversion.to == path) {
      wanted = diversion.from;
      never = diversion.by;
    }
  }
  const std::uint32_t hash = hash_of(wanted);
  for (auto entry = std::ranges::lower_bound(entries_, hash, {}, &Entry::hash);
       entry != entries_.end() && entry->hash == hash; ++entry) {
    const std::string& list = lists_[entry->list];
    const std::string_view name = std::string_view(list).substr(0, list.find(':'));
    if ((!only.empty() && name != only) || name == never || !lists(list, wanted)) continue;
    const auto package = packages_.find(list);
    if (package != packages_.end()) return package->second;
  }
  return std::optional<Package>();
}

}  // namespace nightjar
