// SPDX-License-Identifier: Apache-2.0
#include "support.hpp"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <span>

#include <sys/prctl.h>

namespace nightjar::test {

std::string object_path(const std::string& name) {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
}

const ProgramBlueprint& blueprint() {
  static const Result<ProgramBlueprint> parsed = ProgramBlueprint::from_file(object_path());
  if (!parsed) {
    ADD_FAILURE() << to_string_verbose(parsed.error());
    std::abort();
  }
  return *parsed;
}

std::vector<std::byte> file_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<std::byte> bytes;
  // In pieces: a file of procfs has no size, and a test program with sanitizers is large.
  for (std::vector<char> piece(1U << 16U); file;) {
    file.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    const auto read = std::as_bytes(std::span(piece).first(static_cast<std::size_t>(file.gcount())));
    bytes.insert(bytes.end(), read.begin(), read.end());
  }
  return bytes;
}

void rename_self() {
  static std::atomic<unsigned> count = 0;
  const std::string name = "njtest" + std::to_string(++count % 1000);
  ::prctl(PR_SET_NAME, name.c_str(), 0, 0, 0);
}

std::map<int, std::string> open_descriptors() {
  std::map<int, std::string> descriptors;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code ignored;
    const std::string target = std::filesystem::read_symlink(entry.path(), ignored);
    if (target.starts_with("/proc/")) continue;  // the iterator's own
    descriptors[std::stoi(entry.path().filename())] = target;
  }
  return descriptors;
}

GroupOptions only_me() {
  GroupOptions options;
  options.name = "test";
  options.constants["only_tgid"] = bytes_of(static_cast<std::uint32_t>(::getpid()));
  return options;
}

std::uint64_t counter(const Map& counters, std::uint32_t key) {
  return counters.get<std::uint32_t, std::uint64_t>(key).value_or(0);
}

Result<LoadedGroup> load(const ProgramVersion& version, GroupOptions options) {
  return ProgramGroup(std::move(options)).load(blueprint(), std::span(&version, 1));
}

namespace {

/// Every test must leave as many descriptors as it found; the report says what the new ones are.
class DescriptorReport : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo& /*test*/) override { before_ = open_descriptors(); }
  void OnTestEnd(const testing::TestInfo& /*test*/) override {
    for (const auto& [fd, target] : open_descriptors()) {
      if (!before_.contains(fd)) ADD_FAILURE() << "descriptor " << fd << " is left open: " << target;
    }
  }
  std::map<int, std::string> before_;
};

}  // namespace
}  // namespace nightjar::test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  testing::UnitTest::GetInstance()->listeners().Append(new nightjar::test::DescriptorReport);
  return RUN_ALL_TESTS();
}
