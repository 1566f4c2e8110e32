// SPDX-License-Identifier: Apache-2.0
// Versions: which one wins, what the losers leave behind, what the errors say.
#include <array>
#include <fstream>

#include <fcntl.h>

#include "nightjar/program_group.hpp"
#include "support.hpp"

namespace nightjar::test {
namespace {

using Versions = std::vector<ProgramVersion>;

Result<LoadedGroup> load_all(const Versions& versions, GroupOptions options = only_me()) {
  return ProgramGroup(std::move(options)).load(blueprint(), versions);
}

/// A map like `counters`, made by loading a group and keeping only the map.
Result<Map> make_counters() {
  const auto group = load(ProgramVersion("donor", {Program("on_rename_raw")}));
  if (!group) return group.error();
  return group->map("counters");
}

TEST(Group, LoadsAttachesAndDetaches) {
  NEEDS(raw_tracepoint);
  auto loaded = load(ProgramVersion("raw", {Program("on_rename_raw")}));
  ASSERT_OK(loaded);
  EXPECT_EQ(loaded->version(), "raw");
  EXPECT_TRUE(loaded->passed_over().empty());
  ASSERT_EQ(loaded->programs().size(), 1U);
  EXPECT_EQ(loaded->programs()[0].hook, "raw_tp/task_rename");
  EXPECT_GE(loaded->programs()[0].fd, 0);
  const auto counters = loaded->map("counters");
  ASSERT_OK(counters);
  rename_self();
  rename_self();
  EXPECT_EQ(counter(*counters, 1), 2U);
  {
    const LoadedGroup gone = std::move(*loaded);
  }
  rename_self();
  EXPECT_EQ(counter(*counters, 1), 2U) << "still attached, or the map did not outlive the group";
}

TEST(Group, TheFirstVersionThatWorksWins) {
  const auto loaded = load_all({
      ProgramVersion("typed", {Program("on_missing_btf")}),
      ProgramVersion("raw", {Program("on_missing_raw")}),
      ProgramVersion("good", {Program("on_rename_raw")}),
      ProgramVersion("never", {Program("uses_deep")}),
  });
  ASSERT_OK(loaded);
  EXPECT_EQ(loaded->version(), "good");
  ASSERT_EQ(loaded->passed_over().size(), 2U);
  EXPECT_TRUE(loaded->passed_over()[0].what().starts_with("version 'typed': program 'on_missing_btf': "));
  EXPECT_EQ(loaded->passed_over()[0].code(), errc::unsupported);
  EXPECT_EQ(loaded->passed_over()[1].code(), errc::unsupported);
}

TEST(Group, NoVersionWorks) {
  const auto before = open_descriptors();
  const auto loaded = load_all({
      ProgramVersion("a", {Program("on_rename_raw"), Program("on_missing_raw")}),
      ProgramVersion("b", {Program("refused")}),
  });
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code(), errc::unsupported);
  ASSERT_EQ(loaded.error().causes().size(), 2U);
  EXPECT_EQ(loaded.error().causes()[1].code(), errc::rejected);
  EXPECT_EQ(open_descriptors(), before);
}

TEST(Group, NoVersionGiven) {
  const auto loaded = load_all({});
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code(), errc::invalid);
}

TEST(Group, AVersionThatFailsHalfWayLeavesNothing) {
  const auto shared = make_counters();
  ASSERT_OK(shared);
  GroupOptions options = only_me();
  options.maps["counters"].share = &*shared;
  std::vector<std::string> told;
  options.on_refusal = [&told](std::string_view program) { told.emplace_back(program); };
  const auto before = open_descriptors();
  // on_rename_raw is attached when on_missing_raw turns out not to be attachable.
  const auto loaded = load(ProgramVersion("half", {Program("on_rename_raw"), Program("on_missing_raw")}), options);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(open_descriptors(), before);
  rename_self();
  EXPECT_EQ(counter(*shared, 1), 0U) << "half of the version is still attached";
  EXPECT_EQ(told, std::vector<std::string>{"on_missing_raw"});
}

TEST(Group, VerifiersReasonIsInTheError) {
  const auto loaded = load(ProgramVersion("bad", {Program("refused")}));
  ASSERT_FALSE(loaded);
  ASSERT_EQ(loaded.error().causes().size(), 1U);
  const Error& why = loaded.error().causes()[0];
  EXPECT_EQ(why.code(), errc::rejected);
  EXPECT_EQ(why.sys(), EACCES);
  EXPECT_TRUE(why.what().starts_with("version 'bad': program 'refused': load as raw_tp/task_rename: the verifier"))
      << why.what();
  EXPECT_NE(why.detail().find("R0 invalid mem access"), std::string::npos) << why.detail();
  const std::string text = to_string(loaded.error());
  // Since 7.2 the verifier ends with advice in words; before, with the refusal itself.
  EXPECT_TRUE(text.find("| R0 invalid mem access") != std::string::npos ||
              text.find("| Suggestion:") != std::string::npos)
      << text;
  EXPECT_NE(text.find("lines omitted)"), std::string::npos) << text;
  EXPECT_EQ(text.find("R1=ctx()"), std::string::npos) << text;
}

TEST(Group, OptionalProgramThatCannotAttachIsAbsent) {
  const auto loaded = load(ProgramVersion("v", {Program("on_missing_raw").optional(), Program("on_rename_raw")}));
  ASSERT_OK(loaded);
  const LoadedProgram* absent = loaded->program("on_missing_raw");
  ASSERT_NE(absent, nullptr);
  EXPECT_EQ(absent->fd, -1);
  EXPECT_EQ(absent->hook, "");
  EXPECT_NE(absent->absent_because.find("no_such_tracepoint"), std::string::npos) << absent->absent_because;
  EXPECT_EQ(absent->absent_because.find('\n'), std::string::npos);
  EXPECT_GE(loaded->program("on_rename_raw")->fd, 0);
  EXPECT_EQ(loaded->stats("on_missing_raw").error().code(), errc::unsupported);
}

TEST(Group, OptionalProgramsThatCannotLoadAreAbsent) {
  const auto loaded = load(ProgramVersion(
      "v", {Program("refused").optional(), Program("on_missing_btf").optional(), Program("on_rename_raw")}));
  ASSERT_OK(loaded);
  EXPECT_NE(loaded->program("refused")->absent_because.find("verifier"), std::string::npos);
  EXPECT_NE(loaded->program("on_missing_btf")->absent_because.find("no_such_tracepoint"), std::string::npos);
  EXPECT_GE(loaded->program("on_rename_raw")->fd, 0);
}

TEST(Group, MapsOfAbsentProgramsAreNotCreated) {
  const auto loaded = load(ProgramVersion("v", {Program("uses_deep")}));
  ASSERT_OK(loaded);
  EXPECT_OK(loaded->map("deep"));
  const auto rarely = loaded->map("rarely_used");
  ASSERT_FALSE(rarely);
  EXPECT_EQ(rarely.error().code(), errc::unsupported);
  const auto unknown = loaded->map("dee");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code(), errc::not_found);
  EXPECT_NE(unknown.error().what().find("did you mean 'deep'?"), std::string::npos);
}

void expect_invalid(const Result<LoadedGroup>& loaded, const std::string& text) {
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code(), errc::invalid);
  EXPECT_NE(to_string(loaded.error()).find(text), std::string::npos) << to_string(loaded.error());
}

TEST(Group, UnknownNamesGetSuggestions) {
  expect_invalid(load(ProgramVersion("v", {Program("on_rename_rav")})), "did you mean 'on_rename_raw'?");
  expect_invalid(load(ProgramVersion("v", {Program("on_rename_rav").optional()})), "did you mean");
  expect_invalid(load(ProgramVersion("v", {Program("on_rename_raw")}).set("wide_konstant", std::uint64_t{1})),
                 "did you mean 'wide_constant'?");
  GroupOptions options = only_me();
  options.maps["conters"].max_entries = 5;
  expect_invalid(load(ProgramVersion("v", {Program("on_rename_raw")}), options), "did you mean 'counters'?");
}

TEST(Group, WrongUseIsInvalid) {
  expect_invalid(load(ProgramVersion("v", {Program("on_rename_raw"), Program("on_rename_raw")})), "twice");
  expect_invalid(load(ProgramVersion("v", {Program("on_getppid")})), "no attach point");
  expect_invalid(load(ProgramVersion("v", {Program("on_rename_raw")}).set("wide_constant", std::uint32_t{1})),
                 "has 8 bytes, the value given has 4");
  expect_invalid(load(ProgramVersion("v", {Program("on_rename_btf").kind(ProgramKind::kprobe)})), "cannot be loaded");
  expect_invalid(load(ProgramVersion("v", {Program("on_rename_btf", {"a", "b"}).all_points()})), "one attach point");
}

TEST(Group, ConstantsReachThePrograms) {
  GroupOptions options = only_me();
  options.constants["wide_constant"] = bytes_of(std::uint64_t{100});
  const auto loaded =
      load(ProgramVersion("v", {Program("uses_deep")}).set("wide_constant", std::uint64_t{1ULL << 40}), options);
  ASSERT_OK(loaded);
  const auto deep = loaded->map("deep");
  ASSERT_OK(deep);
  rename_self();
  EXPECT_EQ((deep->get<std::uint32_t, std::uint64_t>(0).value_or(0)), 1ULL << 40);
}

TEST(Group, MissingFeatureCostsNoLoad) {
  Features features({Feature::tp_btf});
  GroupOptions options = only_me();
  options.features = &features;
  Versions versions{ProgramVersion("typed", {Program("on_rename_btf")}),
                    ProgramVersion("raw", {Program("on_rename_raw")})};
  versions[0].require(Feature::tp_btf);
  const auto loaded = load_all(versions, options);
  ASSERT_OK(loaded);
  EXPECT_EQ(loaded->version(), "raw");
  EXPECT_EQ(loaded->passed_over()[0].what(), "version 'typed': needs tp_btf: told to pretend");
}

TEST(Group, PretendedAbsenceHoldsForProgramsAndMapsThatDoNotSay) {
  Features features({Feature::tp_btf, Feature::ring_buffer});
  GroupOptions options = only_me();
  options.features = &features;
  const auto loaded =
      load_all({ProgramVersion("typed", {Program("on_rename_btf")}), ProgramVersion("ring", {Program("send_burst")}),
                ProgramVersion("v", {Program("on_rename_btf").optional(), Program("on_rename_raw")})},
               options);
  ASSERT_OK(loaded);
  EXPECT_EQ(loaded->version(), "v");
  EXPECT_FALSE(loaded->program("on_rename_btf")->absent_because.empty());
}

TEST(Group, MapsAreSharedBetweenGroups) {
  const auto first = load(ProgramVersion("first", {Program("on_rename_raw")}));
  ASSERT_OK(first);
  const auto counters = first->map("counters");
  ASSERT_OK(counters);
  GroupOptions options = only_me();
  options.maps["counters"].share = &*counters;
  const auto second = load(ProgramVersion("second", {Program("on_rename_raw")}), options);
  ASSERT_OK(second);
  rename_self();
  EXPECT_EQ(counter(*counters, 1), 2U) << "each group counts once";
  const auto same = second->map("counters");
  ASSERT_OK(same);
  EXPECT_EQ(counter(*same, 1), 2U);
}

TEST(Group, ASharedMapMustFit) {
  const auto donor = load(ProgramVersion("donor", {Program("uses_deep")}));
  ASSERT_OK(donor);
  const auto deep = donor->map("deep");
  ASSERT_OK(deep);
  GroupOptions options = only_me();
  options.maps["counters"].share = &*deep;
  expect_invalid(load(ProgramVersion("v", {Program("on_rename_raw")}), options), "does not fit");
}

TEST(Group, MapSizesCanBeSet) {
  GroupOptions options = only_me();
  options.maps["counters"].max_entries = 1000;
  const auto loaded = load(ProgramVersion("v", {Program("on_rename_raw")}), options);
  ASSERT_OK(loaded);
  EXPECT_EQ(loaded->map("counters")->max_entries(), 1000U);
}

/// What the kernel says, whatever libbpf was told.
bool makes_all_at_once(const Map& map) {
  constexpr unsigned long no_preallocation = 1;  // BPF_F_NO_PREALLOC, linux/bpf.h
  std::ifstream info("/proc/self/fdinfo/" + std::to_string(map.fd()));
  for (std::string key, value; info >> key >> value;) {
    if (key == "map_flags:") return (std::stoul(value, nullptr, 0) & no_preallocation) == 0;
  }
  ADD_FAILURE() << "no flags of a map";
  return false;
}

TEST(Group, ElementsOnDemandOnlyWhereThatIsSafe) {
  Features here, as_before({Feature::on_demand_maps});
  GroupOptions options = only_me();
  options.maps["counters"].on_demand = true;
  options.features = &as_before;
  const auto all_at_once = load(ProgramVersion("v", {Program("on_rename_raw")}), options);
  ASSERT_OK(all_at_once);
  EXPECT_TRUE(makes_all_at_once(*all_at_once->map("counters")));
  options.features = &here;
  const auto loaded = load(ProgramVersion("v", {Program("on_rename_raw")}), options);
  ASSERT_OK(loaded);
  const Map counters = *loaded->map("counters");
  EXPECT_EQ(makes_all_at_once(counters), !here.has(Feature::on_demand_maps));
  rename_self();
  EXPECT_EQ(counter(counters, 1), 1U);
}

TEST(Group, StatsComeFromTheKernel) {
  const auto loaded = load(ProgramVersion("v", {Program("on_rename_raw")}));
  ASSERT_OK(loaded);
  const auto stats = loaded->stats("on_rename_raw");
  ASSERT_OK(stats);
  EXPECT_GT(stats->id, 0U);
  EXPECT_GT(stats->instructions, 10U);
  const auto unknown = loaded->stats("on_rename_rav");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code(), errc::not_found);
}

TEST(Group, MessagesGoToTheSinkOnly) {
  std::vector<std::string> messages;
  GroupOptions options = only_me();
  options.log = [&](LogLevel /*level*/, std::string_view text) { messages.emplace_back(text); };
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  const auto loaded = load(ProgramVersion("bad", {Program("refused")}), options);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  EXPECT_FALSE(loaded);
  EXPECT_FALSE(messages.empty());
}

TEST(Group, DescriptorsAreCloseOnExec) {
  const auto before = open_descriptors();
  const auto loaded = load(ProgramVersion("v", {Program("on_rename_raw"), Program("on_rename_tracepoint").optional()}));
  ASSERT_OK(loaded);
  for (const auto& [fd, target] : open_descriptors()) {
    if (before.contains(fd)) continue;
    EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0) << target;
  }
}

}  // namespace
}  // namespace nightjar::test
