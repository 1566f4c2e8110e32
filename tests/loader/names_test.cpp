// SPDX-License-Identifier: Apache-2.0
#include "attach.hpp"
#include "nightjar/features.hpp"
#include "support.hpp"
#include "text.hpp"

namespace nightjar::test {
namespace {

TEST(Nearest, FindsWhatWasMeant) {
  const std::vector<std::string_view> names{"on_exec", "on_exit", "on_fork"};
  EXPECT_EQ(text::nearest("on_exek", names), "on_exec");
  EXPECT_EQ(text::nearest("onfork", names), "on_fork");
  EXPECT_EQ(text::nearest("something else", names), "");
  EXPECT_EQ(text::nearest("", {}), "");
  EXPECT_EQ(text::nearest(std::string(1000000, 'x'), names), "");
}

TEST(FeatureNames, GoThereAndBack) {
  for (std::size_t i = 0; i < feature_count; ++i) {
    const auto feature = static_cast<Feature>(i);
    const auto parsed = feature_from_string(to_string(feature));
    ASSERT_OK(parsed);
    EXPECT_EQ(*parsed, feature);
  }
}

TEST(FeatureNames, UnknownSuggests) {
  const auto parsed = feature_from_string("ringbuffer");
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code(), errc::not_found);
  EXPECT_NE(parsed.error().what().find("'ring_buffer'"), std::string::npos);
}

TEST(Features, PretendingAsksNobody) {
  Features features({Feature::bpf});
  EXPECT_EQ(features.ask(Feature::bpf).answer, Answer::no);
  EXPECT_EQ(features.ask(Feature::bpf).why, "told to pretend");
  EXPECT_FALSE(features.has(Feature::bpf));
}

TEST(Spellings, SyscallsGetTheArchitecturesPrefix) {
  using Names = std::vector<std::string>;
#if defined(__x86_64__)
  const Names wanted{"__x64_sys_clone", "sys_clone", "SyS_clone"};
#elif defined(__aarch64__)
  const Names wanted{"__arm64_sys_clone", "sys_clone", "SyS_clone"};
#endif
  EXPECT_EQ(spellings("sys_clone", ProgramKind::kprobe, true), wanted);
  EXPECT_EQ(spellings("clone", ProgramKind::kretprobe, true), wanted);
  EXPECT_EQ(spellings("clone", ProgramKind::fentry, true), wanted);
  EXPECT_EQ(spellings("sys_clone", ProgramKind::kprobe, false), Names{"sys_clone"});
  EXPECT_EQ(spellings("sched/x", ProgramKind::tracepoint, true), Names{"sched/x"});
}

TEST(ProgramValue, CollectsItsOptions) {
  const Program plain("p");
  EXPECT_FALSE(plain.is_optional() || plain.is_syscall() || plain.wants_all_points() || plain.kind());
  const Program full = Program("p", {"a", "b"}).syscall().optional().all_points().kind(ProgramKind::kretprobe);
  EXPECT_TRUE(full.is_optional() && full.is_syscall() && full.wants_all_points());
  EXPECT_EQ(full.kind(), ProgramKind::kretprobe);
  EXPECT_EQ(full.attach_points().size(), 2U);
}

}  // namespace
}  // namespace nightjar::test
