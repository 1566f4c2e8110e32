// SPDX-License-Identifier: Apache-2.0
// What unpacks a package makes some thousand files at once, with owners, modes and times: played again from its events,
// the tree must be the one on disk, and every byte accounted for.
#include <filesystem>
#include <map>

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

}  // namespace
}  // namespace nightjar::test
