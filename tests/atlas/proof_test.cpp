// SPDX-License-Identifier: Apache-2.0
// A layout is believed only when the kernel's memory says so: against the running kernel, and against memory made up
// after the layout of every kernel of the shipped pack.
#include <cstdlib>

#include <gtest/gtest.h>
#include <unistd.h>

#include "agent/atlas_command.hpp"
#include "atlas/files.hpp"
#include "atlas/kernel_image.hpp"
#include "atlas/running.hpp"
#include "atlas/witness.hpp"
#include "harness.hpp"
#include "memory.hpp"

namespace nightjar::test {
namespace {

using atlas::LayoutIndex;
using atlas::Proof;
using atlas::Want;

constexpr std::int64_t shifts[] = {-8, -4, 4, 8};

class LayoutProof : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root to read the kernel's memory";
    auto wanted = wanted_by({});
    ASSERT_TRUE(wanted) << wanted.error().what();
    wanted_ = *wanted;
    auto witness = atlas::Witness::start();
    ASSERT_TRUE(witness) << to_string(witness.error());
    witness_.emplace(std::move(*witness));
  }

  [[nodiscard]] Result<Proof> ask_kernel(const LayoutIndex& index) {
    return atlas::prove(index, wanted_, witness_->knowledge(),
                        [this](atlas::Start start, std::span<const atlas::Address> addresses) {
                          return witness_->read(start, addresses);
                        });
  }
  [[nodiscard]] Result<Proof> ask_memory(const LayoutIndex& index, const Memory& memory) const {
    return atlas::prove(index, wanted_, witness_->knowledge(),
                        [&memory](atlas::Start start, std::span<const atlas::Address> addresses) {
                          return memory.read(start, addresses);
                        });
  }

  atlas::WantedSet wanted_;
  std::optional<atlas::Witness> witness_;
};

/// The running kernel's own layout, cut to what is wanted.
Result<OwnLayout> running_layout(const atlas::WantedSet& wanted) {
  const std::string bytes = NIGHTJAR_TRY(atlas::read_whole(atlas::kernel_btf_path, std::size_t{256} << 20U));
  atlas::TypePool pool;
  const auto types = NIGHTJAR_TRY(atlas::read_kernel(atlas::as_bytes(bytes), pool));
  OwnLayout own;
  own.layout = atlas::prune(LayoutIndex(pool, types.layout), wanted.all, own.pool);
  return own;
}

/// Where the two have proved members at different places.
std::string wrongly_proved(const Proof& proof, const LayoutIndex& real, const LayoutIndex& believed) {
  std::string wrong;
  for (const Want& want : proof.proved) {
    const auto a = real.places(want), b = believed.places(want);
    const bool same = a.size() == b.size() && (a.empty() || a.front().bit_offset == b.front().bit_offset);
    if (!same) wrong += " " + want.text();
  }
  return wrong;
}

TEST_F(LayoutProof, believes_the_running_kernels_own) {
  if (access(atlas::kernel_btf_path, R_OK) != 0) GTEST_SKIP() << "kernel lacks btf";
  const auto own = running_layout(wanted_);
  ASSERT_TRUE(own) << own.error().what();
  const auto proof = ask_kernel(LayoutIndex(own->pool, own->layout));
  ASSERT_TRUE(proof) << to_string(proof.error());
  EXPECT_EQ(proof->refused, "");
  std::printf("%zu facts, %zu proved, %zu unverified\n", proof->facts, proof->proved.size(), proof->unverified.size());
  // What fork, exec and exit cannot do without.
  const auto out = atlas::programs_to_leave_out(wanted_, *proof);
  for (const char* program : {"process_fork__raw_tp", "process_exec__raw_tp", "process_exit__raw_tp"}) {
    const auto found = out.find(program);
    EXPECT_EQ(found, out.end()) << program << ": " << found->second;
  }
}

TEST_F(LayoutProof, is_not_taken_in_by_what_lies_in_front_of_a_pid) {
  if (access(atlas::kernel_btf_path, R_OK) != 0) GTEST_SKIP() << "kernel lacks btf";
  const auto own = running_layout(wanted_);
  ASSERT_TRUE(own) << own.error().what();
  const LayoutIndex index(own->pool, own->layout);
  Memory memory(index, witness_->knowledge());
  // What the slab has in front of the object happens to be a 1, as the level is, and so does the count of references.
  const std::uint32_t before[] = {1, 1};
  const auto address = atlas::address_of(atlas::Chain::parse({"task_struct.thread_pid", "pid.level - 8"}), index);
  ASSERT_TRUE(address);
  memory.write(atlas::Start::thread, *address, {reinterpret_cast<const char*>(before), sizeof before});
  const auto proof = ask_memory(index, memory);
  ASSERT_TRUE(proof) << to_string(proof.error());
  EXPECT_EQ(proof->refused, "");
  const auto level = Want::from_text("pid.level");
  EXPECT_TRUE(proof->proved.contains(*level)) << proof->unverified.at(*level);
}

TEST_F(LayoutProof, sees_each_member_that_was_moved) {
  if (access(atlas::kernel_btf_path, R_OK) != 0) GTEST_SKIP() << "kernel lacks btf";
  const auto own = running_layout(wanted_);
  ASSERT_TRUE(own) << own.error().what();
  const auto proof = ask_kernel(LayoutIndex(own->pool, own->layout));
  ASSERT_TRUE(proof) << to_string(proof.error());
  // The others are unverified where they are, too: no fact is about them.
  int tried = 0;
  for (const Want& want : proof->proved) {
    for (const std::int64_t bytes : shifts) {
      const OwnLayout moved = with_moved(own->pool, own->layout, want, bytes);
      if (moved.layout.empty()) continue;
      const auto again = ask_kernel(LayoutIndex(moved.pool, moved.layout));
      ASSERT_TRUE(again) << to_string(again.error());
      ++tried;
      EXPECT_TRUE(!again->refused.empty() || !again->proved.contains(want))
          << want.text() << " moved by " << bytes << " was believed";
    }
  }
  EXPECT_GT(tried, 300);
}

TEST_F(LayoutProof, believes_none_of_another_kernel) {
  const auto pack = atlas::Atlas::from_bytes(shipped_atlas());
  ASSERT_TRUE(pack);
  int accepted = 0;
  std::optional<OwnLayout> own;
  if (auto read = running_layout(wanted_)) own.emplace(std::move(*read));
  for (const auto& layout : pack->layouts()) {
    const LayoutIndex index(pack->pool(), layout);
    const auto proof = ask_kernel(index);
    ASSERT_TRUE(proof) << to_string(proof.error());
    if (!proof->refused.empty()) {
      EXPECT_NE(proof->refused.find('.'), std::string::npos) << "it names no member: " << proof->refused;
      continue;
    }
    ++accepted;
    if (own) {
      EXPECT_EQ(wrongly_proved(*proof, LayoutIndex(own->pool, own->layout), index), "");
    }
  }
  std::printf("%d of %zu accepted\n", accepted, pack->layouts().size());
}

TEST_F(LayoutProof, believes_no_wrong_one_when_any_kernel_is_left_out) {
  const auto pack = atlas::Atlas::from_bytes(shipped_atlas());
  ASSERT_TRUE(pack);
  int pairs = 0, accepted = 0;
  // All against all takes a minute of a core: NIGHTJAR_ALL_LAYOUTS=1.
  const std::size_t step = std::getenv("NIGHTJAR_ALL_LAYOUTS") != nullptr ? 1 : 17;
  for (std::size_t real = 0; real < pack->layouts().size(); real += step) {
    const LayoutIndex truth(pack->pool(), pack->layouts()[real]);
    const Memory memory(truth, witness_->knowledge());
    for (std::size_t other = 0; other < pack->layouts().size(); ++other) {
      const LayoutIndex index(pack->pool(), pack->layouts()[other]);
      const auto proof = ask_memory(index, memory);
      ASSERT_TRUE(proof);
      if (real == other) {
        EXPECT_EQ(proof->refused, "") << "layout " << real << " is not believed to be itself";
        continue;
      }
      ++pairs;
      if (!proof->refused.empty()) continue;
      ++accepted;
      EXPECT_EQ(wrongly_proved(*proof, truth, index), "") << other << " taken for " << real;
    }
  }
  std::printf("%d pairs of different layouts, %d accepted with nothing proved wrongly\n", pairs, accepted);
}

class Neighbour : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root to load programs";
    if (access(atlas::kernel_btf_path, R_OK) != 0) GTEST_SKIP() << "kernel lacks btf";
    auto wanted = wanted_by({});
    ASSERT_TRUE(wanted);
    auto own = running_layout(*wanted);
    ASSERT_TRUE(own) << own.error().what();
    own_.emplace(std::move(*own));
    wanted_ = *wanted;
    path_ = testing::TempDir() + "nightjar-neighbour-" + std::to_string(getpid()) + ".atlas";
  }
  void TearDown() override { unlink(path_.c_str()); }

  /// An atlas of one kernel that is not the running one, by name.
  void save(const OwnLayout& types) const {
    atlas::Atlas atlas;
    atlas::Kernel kernel;
    kernel.build_id = std::string(20, 'n');
    kernel.release = "6.0.0-neighbour";
    kernel.version = "#1";
    kernel.architecture = atlas::RunningKernel::read().architecture;
    kernel.source = "test";
    kernel.method = "btf";
    atlas.add(kernel, atlas::Copier(types.pool, atlas.pool()).copy(types.layout));
    atlas.set_wanted(wanted_.all);
    ASSERT_TRUE(atlas.save(path_));
  }

  std::optional<OwnLayout> own_;
  atlas::WantedSet wanted_;
  std::string path_;
};

TEST_F(Neighbour, serves_a_kernel_that_is_not_in_the_atlas) {
  save(*own_);
  const auto found = run_agent({.arguments = {"atlas", "lookup", "--without-btf", "--atlas", path_}});
  EXPECT_EQ(found.status, 0) << found.err;
  EXPECT_NE(found.out.find("neighbour"), std::string::npos) << found.out;
  const auto watched = run_agent({.arguments = {"watch", "--without", "btf", "--atlas", path_, "--", "/bin/true"}});
  EXPECT_EQ(watched.status, 0) << watched.err;
  EXPECT_NE(watched.out.find("\"/bin/true\""), std::string::npos) << watched.out << watched.err;
}

TEST_F(Neighbour, is_refused_by_the_member_that_is_elsewhere) {
  for (const char* name : {"task_struct.tgid", "cred.euid.val", "mm_struct.arg_start", "dentry.d_parent"}) {
    save(with_moved(own_->pool, own_->layout, *Want::from_text(name), 8));
    const auto found = run_agent({.arguments = {"watch", "--without", "btf", "--atlas", path_, "--", "/bin/true"}});
    EXPECT_EQ(found.status, 3) << name << ": " << found.err;
    EXPECT_NE(found.err.find(std::string(name).substr(0, std::string_view(name).rfind(".val"))), std::string::npos)
        << found.err;
  }
}

}  // namespace
}  // namespace nightjar::test
