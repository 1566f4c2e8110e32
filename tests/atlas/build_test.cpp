// SPDX-License-Identifier: Apache-2.0
// Builds: interrupted, in shards, with sources that are broken.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include <sys/wait.h>

#include "atlas/atlas.hpp"
#include "harness.hpp"
#include "kernels.hpp"

namespace nightjar::test {
namespace {

namespace fs = std::filesystem;

class AtlasBuild : public testing::Test {
 protected:
  void SetUp() override {
    images_ = cached_images();
    if (images_.size() > 3) images_.resize(3);
    if (images_.empty()) GTEST_SKIP() << "no kernel images in the cache: tests/vm/fetch.py fetches some";
    folder_ = testing::TempDir() + "nightjar-atlas-" + std::to_string(getpid());
    fs::create_directories(folder_ + "/sources");
    int number = 0;
    for (const std::string& image : images_)
      fs::copy_file(image, folder_ + "/sources/vmlinuz-" + std::to_string(number++));
  }
  void TearDown() override {
    if (!folder_.empty()) fs::remove_all(folder_);
  }

  [[nodiscard]] Outcome atlas(Strings arguments) const {
    arguments.insert(arguments.begin(), "atlas");
    return run_agent({.arguments = std::move(arguments)});
  }
  [[nodiscard]] static std::string content(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::vector<std::string> images_;
  std::string folder_;
};

TEST_F(AtlasBuild, ends_with_the_same_bytes_when_interrupted_23_times) {
  const std::string whole = folder_ + "/whole.atlas";
  const auto begun = std::chrono::steady_clock::now();
  const auto first = atlas({"build", "--quiet", "--output", whole, folder_ + "/sources"});
  ASSERT_EQ(first.status, 0) << first.err;
  const auto took = std::chrono::steady_clock::now() - begun;
  const std::string again = folder_ + "/again.atlas";
  std::mt19937 random(23);
  std::uniform_real_distribution<double> part(0.0, 1.0);
  int interrupted = 0;
  for (int round = 0; round < 23; ++round) {
    const std::string program = agent_path();
    std::vector<std::string> words{program, "atlas", "build", "--quiet", "--output", again, folder_ + "/sources"};
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    pid_t pid = -1;
    ASSERT_EQ(posix_spawn(&pid, program.c_str(), &actions, nullptr, arguments.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    std::this_thread::sleep_for(took * part(random) / 4);
    kill(pid, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    interrupted += WIFSIGNALED(status) ? 1 : 0;
    // What is visible is whole, always.
    if (fs::exists(again)) {
      EXPECT_TRUE(atlas::Atlas::open(again)) << "round " << round;
    }
  }
  EXPECT_GT(interrupted, 0);
  const auto last = atlas({"build", "--quiet", "--output", again, folder_ + "/sources"});
  EXPECT_EQ(last.status, 0) << last.err;
  EXPECT_EQ(content(whole), content(again)) << interrupted << " interruptions";
  EXPECT_FALSE(fs::exists(again + ".parts"));
}

TEST_F(AtlasBuild, gives_the_same_bytes_from_shards) {
  const std::string whole = folder_ + "/whole.atlas";
  ASSERT_EQ(atlas({"build", "--quiet", "--output", whole, folder_ + "/sources"}).status, 0);
  Strings merge{"merge", "--output", folder_ + "/merged.atlas"};
  for (const char* shard : {"1/3", "2/3", "3/3"}) {
    const std::string part = folder_ + "/part" + shard[0] + ".atlas";
    EXPECT_EQ(atlas({"build", "--quiet", "--output", part, "--shard", shard, folder_ + "/sources"}).status, 0);
    merge.push_back(part);
  }
  std::reverse(merge.begin() + 3, merge.end());
  EXPECT_EQ(atlas(merge).status, 0);
  EXPECT_EQ(content(whole), content(folder_ + "/merged.atlas"));
}

TEST_F(AtlasBuild, reports_a_broken_source_and_takes_the_others) {
  const std::string good = content(folder_ + "/sources/vmlinuz-0");
  std::ofstream(folder_ + "/sources/vmlinuz-broken", std::ios::binary) << good.substr(0, good.size() / 2);
  const std::string output = folder_ + "/some.atlas";
  const auto built = atlas({"build", "--quiet", "--output", output, folder_ + "/sources"});
  EXPECT_EQ(built.status, 1);
  EXPECT_NE(built.err.find("vmlinuz-broken"), std::string::npos) << built.err;
  const auto opened = atlas::Atlas::open(output);
  ASSERT_TRUE(opened) << opened.error().what();
  EXPECT_EQ(opened->kernels().size(), images_.size());
  // The same command again reads only what is still missing.
  const auto again = atlas({"build", "--quiet", "--output", output, folder_ + "/sources"});
  EXPECT_NE(again.out.find(std::to_string(images_.size()) + " known already"), std::string::npos) << again.out;
}

TEST_F(AtlasBuild, finds_a_kernel_and_says_what_moved) {
  const std::string output = folder_ + "/some.atlas";
  ASSERT_EQ(atlas({"build", "--quiet", "--output", output, folder_ + "/sources"}).status, 0);
  const auto opened = atlas::Atlas::open(output);
  ASSERT_TRUE(opened);
  const auto& kernel = opened->kernels().front();
  const auto shown = atlas({"show", "--atlas", output, kernel.release, "task_struct->tgid", "task_struct.no_such"});
  EXPECT_EQ(shown.status, 0) << shown.err;
  EXPECT_NE(shown.out.find("task_struct.tgid"), std::string::npos) << shown.out;
  EXPECT_NE(shown.out.find("absent"), std::string::npos) << shown.out;
  const auto none = atlas({"show", "--atlas", output, "no-such-kernel", "task_struct.tgid"});
  EXPECT_EQ(none.status, 1);
  EXPECT_NE(none.err.find("no-such-kernel"), std::string::npos);
  const auto verified = atlas({"verify", "--atlas", output, folder_ + "/sources/vmlinuz-0"});
  EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
  const auto confused = atlas({"verify", output});  // without --atlas
  EXPECT_EQ(confused.status, 1) << confused.out;
  EXPECT_NE(confused.err.find("an atlas, where a kernel is expected"), std::string::npos) << confused.err;
  const auto diff = [&](const std::string& name) {
    return atlas({"diff", "--atlas", output, folder_ + "/sources/vmlinuz-0",
                  folder_ + "/sources/vmlinuz-" + std::to_string(images_.size() - 1), name});
  };
  const auto moved = diff("task_struct->start_boottime");
  EXPECT_EQ(moved.status, 0) << moved.err;
  EXPECT_EQ(moved.out.find("nothing moved") == std::string::npos, images_.size() > 1) << moved.out;
  EXPECT_EQ(moved.out.find("thread_info"), std::string::npos) << moved.out;
  const auto unknown = diff("no_such_struct");
  EXPECT_EQ(unknown.status, 1) << unknown.out;
  EXPECT_NE(unknown.err.find("no_such_struct"), std::string::npos) << unknown.err;
  EXPECT_NE(atlas({"list", "--atlas", output, output}).status, 0);
}

}  // namespace
}  // namespace nightjar::test
