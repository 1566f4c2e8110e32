// SPDX-License-Identifier: Apache-2.0
// What unpacks a package makes some thousand files at once, with owners, modes and times: played again from its events,
// the tree must be the one on disk, and every byte accounted for.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <sstream>

#include <unistd.h>

#include <sys/stat.h>

#include "file.hpp"

namespace nightjar::test {
namespace {

namespace fs = std::filesystem;

struct Made {
  std::string inode;
  std::uint64_t written = 0;
  bool operator==(const Made&) const = default;
};
using Tree = std::map<std::string, Made>;

/// What is below `root`: the inode, and of a file its size, all of which was written.
Tree on_disk(const std::string& root) {
  Tree tree;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    struct stat status{};
    EXPECT_EQ(::lstat(entry.path().c_str(), &status), 0);
    const bool is_file = S_ISREG(status.st_mode);
    tree[entry.path()] = {std::to_string(status.st_ino), is_file ? static_cast<std::uint64_t>(status.st_size) : 0};
  }
  return tree;
}

Tree played_again(const Stream& stream, const std::string& root) {
  Tree tree;
  for (const json& event : stream.events) {
    const std::string path = bytes_at(event, "file.path");
    if (!path.starts_with(root + "/")) continue;
    const std::string action = action_of(event);
    if (action == "create" || action == "mkdir" || action == "symlink" || action == "mknod" || action == "link") {
      EXPECT_FALSE(tree.contains(path)) << event;
      tree[path].inode = text_at(event, "file.inode");
    } else if (action == "modify") {
      tree[path].written += at(event, "nightjar.file.bytes_written").get<std::uint64_t>();
    } else if (action == "delete" || action == "rmdir") {
      EXPECT_EQ(tree.erase(path), 1U) << event;
    } else if (action == "rename") {
      auto moved = tree.extract(bytes_at(event, "nightjar.file.old_path"));
      EXPECT_FALSE(moved.empty()) << event;
      tree.erase(path);
      moved.key() = path;
      tree.insert(std::move(moved));
    }
  }
  return tree;
}

TEST(File, tells_all_that_unpacking_makes) {
  const std::string from = "/usr/include";
  if (!fs::is_directory(fs::path(from) / "linux")) GTEST_SKIP() << "skipped: there is no " << from << "/linux to pack";
  const TempDir dir;
  const std::string root = fs::canonical(dir.path());
  Watch how;
  how.options = {"--events", "process,file"};
  const auto watched = watch_command(
      {"/bin/sh", "-c", "tar -C " + from + " -cf - linux | tar -C " + root + " -xpf - --delay-directory-restore"}, how);
  const Tree expected = on_disk(root);
  ASSERT_GT(expected.size(), 500U);
  const Tree told = played_again(watched.stream, root);
  EXPECT_EQ(told.size(), expected.size());
  for (const auto& [path, made] : expected) {
    const auto found = told.find(path);
    ASSERT_NE(found, told.end()) << "never told: " << path;
    ASSERT_EQ(found->second.inode, made.inode) << path;
    ASSERT_EQ(found->second.written, made.written) << path;
  }
}

// ---- packages, against the lists that they hold

struct Member {
  char type = '-';  ///< as ls shows it; h: another name of a file before it
  std::uint64_t size = 0;
  std::string target;
};
using Members = std::map<std::string, Member>;

std::string output_of(const std::string& command) {
  std::string text;
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return text;
  std::array<char, 65536> some{};
  while (const auto got = std::fread(some.data(), 1, some.size(), pipe)) text.append(some.data(), got);
  EXPECT_EQ(::pclose(pipe), 0) << command;
  return text;
}

/// What an archive's list says: `drwxr-xr-x 0/0 0 2024-01-01 00:00 ./usr/ -> target`.
void add_members(const std::string& package, Members& members) {
  std::istringstream list(
      output_of("dpkg-deb --fsys-tarfile '" + package + "' | tar -tvf - --numeric-owner --quoting-style=literal"));
  for (std::string line; std::getline(list, line);) {
    std::istringstream words(line);
    std::string mode, owner, date, time, name;
    Member member;
    words >> mode >> owner >> member.size >> date >> time >> std::ws;
    std::getline(words, name);
    member.type = mode.at(0);
    const std::string_view arrow = member.type == 'l' ? " -> " : " link to ";
    if (member.type == 'l' || member.type == 'h') {
      const auto at = name.find(arrow);
      ASSERT_NE(at, std::string::npos) << line;
      member.target = name.substr(at + arrow.size());
      name.resize(at);
    }
    while (name.ends_with('/')) name.pop_back();
    if (name != ".") members[name.substr(1)] = member;  // behind the dot
  }
}

struct Told {
  std::map<std::string, int> times;  ///< by action
  std::uint64_t written = 0;
  std::string target;
};

/// For an absolute link, and one that climbs, tar makes an empty file first, and the link when all else is there.
void expect_member(const std::string& path, const Member& member, Told told) {
  const int held = member.type == 'l' ? told.times["delete"] : 0;
  EXPECT_LE(held, 1) << path;
  EXPECT_EQ(told.times["create"], (member.type == '-') + held) << path;
  EXPECT_EQ(told.times["delete"], held) << path;
  EXPECT_EQ(told.times["mkdir"], member.type == 'd') << path;
  EXPECT_EQ(told.times["symlink"], member.type == 'l') << path;
  EXPECT_EQ(told.times["link"], member.type == 'h') << path;
  EXPECT_EQ(told.times["modify"], member.type == '-' && member.size > 0) << path;
  if (member.type == '-') {
    EXPECT_EQ(told.written, member.size) << path;
  }
  if (member.type == 'l') {
    EXPECT_EQ(told.target, member.target) << path;
  }
}

/// Files whose names the list shows as they are: of those that NIGHTJAR_TEST_PACKAGES has, or of one made here.
Strings some_packages(const TempDir& dir) {
  Strings packages;
  if (const char* given = std::getenv("NIGHTJAR_TEST_PACKAGES")) {
    for (const auto& entry : fs::directory_iterator(given)) {
      if (entry.path().extension() == ".deb") packages.push_back(entry.path());
    }
    return packages;
  }
  (void)output_of(
      "cd " + dir.path() + " && mkdir -p tree/DEBIAN tree/usr/include && cp -a /usr/include/linux tree/usr/" +
      "include/ && ln -s /usr/include tree/usr/include/absolute && ln -s linux tree/usr/include/relative && " +
      "ln tree/usr/include/linux/types.h tree/usr/include/hard && printf 'Package: nightjar-test\nVersion: " +
      "1\nArchitecture: all\nMaintainer: none <none@example.org>\nDescription: x\n' >tree/DEBIAN/control " +
      "&& dpkg-deb -Znone --build tree made.deb >made.log");
  packages.push_back(dir / "made.deb");
  return packages;
}

TEST(File, tells_exactly_what_packages_hold) {
  if (::access("/usr/bin/dpkg-deb", X_OK) != 0 || !fs::is_directory("/usr/include/linux"))
    GTEST_SKIP() << "skipped: there is no dpkg-deb or no /usr/include/linux here";
  const TempDir dir;
  const TempDir place;
  const std::string root = fs::canonical(place.path());
  Members members;
  std::string unpack = "true";
  for (const auto& package : some_packages(dir)) {
    add_members(package, members);
    unpack += " && dpkg-deb -x '" + package + "' " + root;
  }
  ASSERT_GT(members.size(), 500U);
  Watch how;
  how.options = {"--events", "process,file"};
  const auto watched = watch_command({"/bin/sh", "-c", unpack}, how);
  EXPECT_EQ(watched.outcome.status, 0) << watched.outcome.err;
  EXPECT_TRUE(watched.stream.of("events_lost").empty());
  std::map<std::string, Told> told;
  for (const json& event : watched.stream.events) {
    const std::string path = bytes_at(event, "file.path");
    if (!path.starts_with(root + "/")) continue;
    Told& one = told[path.substr(root.size())];
    ++one.times[action_of(event)];
    if (action_of(event) == "modify") one.written += at(event, "nightjar.file.bytes_written").get<std::uint64_t>();
    if (action_of(event) == "symlink") one.target = bytes_at(event, "file.target_path");
  }
  for (const auto& [path, member] : members) expect_member(path, member, told[path]);
  EXPECT_EQ(told.size(), members.size());  // nothing else was made
  std::cout << members.size() << " members\n";
}

}  // namespace
}  // namespace nightjar::test
